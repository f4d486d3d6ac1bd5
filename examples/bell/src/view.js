// What the two bells without a framework show. Knows nothing of Herald.

let unread = 0;

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * Shows a notification, and counts it as unread.
 * @param {{ text: string }} notification
 */
export function ring({ text }) {
  const item = document.createElement('li');
  item.textContent = text; // never innerHTML: it is what somebody else wrote
  element('list').prepend(item);
  element('count').textContent = String(++unread);
}

/** @param {string} words */
export function say(words) {
  element('status').textContent = words;
}

element('bell').addEventListener('click', () => {
  unread = 0;
  element('count').textContent = '0';
});
