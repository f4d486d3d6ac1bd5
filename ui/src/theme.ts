/** What Mantine has to know in script; colours and sizes stand in styles/theme.css. */

import { createTheme } from '@mantine/core';

export const theme = createTheme({
  primaryColor: 'indigo',
  defaultRadius: 'md',
  cursorType: 'pointer',
  respectReducedMotion: true,
});
