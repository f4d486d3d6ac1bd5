// The promise: an instance that is gone stays in the operator's table for ten minutes with the time, and one that comes back is live.

import { act, render } from '@testing-library/react';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { InstanceDescription } from '../src/api';
import { Instances } from '../src/operator/Instances';

beforeEach(() => {
  vi.useFakeTimers();
  vi.setSystemTime(new Date(2026, 0, 1, 16, 26, 47));
});
afterEach(() => vi.useRealTimers());

const one = { name: 'one', id: 'a', own: true, users: 1 };
const two = { name: 'two', id: 'b', own: false, users: 1 };
const page = (...instances: InstanceDescription[]) => <Instances cluster={{ instances, silent: [] }} seen={[]} />;
const rows = () =>
  [...document.querySelectorAll('tbody tr')].map((row) => [...row.children].map((cell) => cell.textContent?.trim()));
const short = () => rows().map(([name, state]) => `${name}: ${state}`);

test('an instance that is gone is listed with the time, for ten minutes', () => {
  const { rerender } = render(page(one, two));
  expect(short()).toEqual(['one: serving answers', 'two: serving']);
  rerender(page(one));
  expect(short()).toEqual(['one: serving answers', 'two: gone 16:26:47']);
  act(() => void vi.advanceTimersByTime(599_000));
  rerender(page(one));
  expect(short()).toEqual(['one: serving answers', 'two: gone 16:26:47']);
  act(() => void vi.advanceTimersByTime(1_000));
  rerender(page(one));
  expect(short()).toEqual(['one: serving answers']);
});

test('one that comes back under its name is another; one that comes back as it was is not gone', () => {
  const { rerender } = render(page(one, two));
  rerender(page(one));
  rerender(page(one, { ...two, id: 'c' }));
  expect(short()).toEqual(['one: serving answers', 'two: serving', 'two: gone 16:26:47']);
  rerender(page(one, two));
  expect(short()).toEqual(['one: serving answers', 'two: serving', 'two: gone 16:26:47']);
  rerender(page(one, two, { ...two, id: 'c' }));
  expect(short()).toEqual(['one: serving answers', 'two: serving', 'two: serving']);
});
