// Light, dark, or as the system has it.

import { h } from './dom.js';

const THEMES = ['system', 'light', 'dark'] as const;
const KEY = 'dockrion-theme';

export function themeButton(): HTMLElement {
  let theme = stored();
  const button = h('button', { type: 'button', class: 'quiet', onclick: next });
  apply();
  function next(): void {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? 'system';
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // A browser that keeps nothing forgets this, too.
    }
    apply();
  }
  function apply(): void {
    document.documentElement.dataset['theme'] = theme;
    button.textContent = `Theme: ${theme}`;
  }
  return button;
}

function stored(): (typeof THEMES)[number] {
  try {
    return THEMES.find((one) => one === localStorage.getItem(KEY)) ?? 'system';
  } catch {
    return 'system';
  }
}
