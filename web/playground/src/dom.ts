// Makes elements. Text is always text: nothing here, or anywhere on the page, takes HTML.

export type Child = Node | string | number | null | undefined | false;
const MAX_SHOWN_CHARACTERS = 200_000;

type Listener = (event: never) => void;
type Props = Record<string, string | number | boolean | null | undefined | Listener>;

export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === 'function') {
      element.addEventListener(name.slice(2), value as EventListener);
    } else if (value === true) {
      element.setAttribute(name, '');
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
  add(element, ...children);
  return element;
}

export function add(parent: Node, ...children: Child[]): void {
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) {
      parent.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
    }
  }
}

const SVG = 'http://www.w3.org/2000/svg';

export function svg(tag: string, props: Record<string, string | number> = {}, ...children: Node[]): SVGElement {
  const element = document.createElementNS(SVG, tag) as SVGElement;
  for (const [name, value] of Object.entries(props)) {
    element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

let count = 0;

export function freshId(name: string): string {
  count += 1;
  return `${name}-${count}`;
}

/** Show one of several panels. Arrow keys, Home and End go from tab to tab. */
export function tabs(
  label: string,
  entries: { key: string; title: string; panel: HTMLElement }[],
  onShow: (key: string) => void = () => {},
): { bar: HTMLElement; show: (key: string) => void; current: () => string } {
  let current = '';
  const bar = h('div', { class: 'tabs', role: 'tablist', 'aria-label': label });
  const buttons = entries.map(({ key, title, panel }) => {
    const button = h('button', { type: 'button', role: 'tab', id: freshId('tab'), onclick: () => show(key) }, title);
    panel.id ||= freshId('panel');
    panel.setAttribute('role', 'tabpanel');
    panel.setAttribute('aria-labelledby', button.id);
    button.setAttribute('aria-controls', panel.id);
    bar.append(button);
    return button;
  });
  bar.addEventListener('keydown', (event) => {
    const place = entries.findIndex((entry) => entry.key === current);
    const moves: Record<string, number> = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: -1 };
    const move = moves[event.key];
    const next = move === undefined ? undefined : entries.at(move % entries.length);
    if (next !== undefined) {
      event.preventDefault();
      show(next.key);
      buttons[entries.indexOf(next)]?.focus();
    }
  });
  function show(key: string): void {
    current = key;
    for (const [number, entry] of entries.entries()) {
      const isShown = entry.key === key;
      entry.panel.hidden = !isShown;
      buttons[number]?.setAttribute('aria-selected', String(isShown));
      buttons[number]?.setAttribute('tabindex', isShown ? '0' : '-1');
    }
    onShow(key);
  }
  if (entries[0] !== undefined) {
    show(entries[0].key);
  }
  return { bar, show, current: () => current };
}

/** JSON to look at, of which more than anybody looks at is left out: a browser takes its time with long lines. */
export function shown(value: unknown): string {
  const text = json(value);
  const left = text.length - MAX_SHOWN_CHARACTERS;
  return left > 0 ? `${text.slice(0, MAX_SHOWN_CHARACTERS)}\n… and ${left.toLocaleString('en')} characters more` : text;
}

export function json(value: unknown): string {
  return JSON.stringify(value, null, 2) ?? 'null';
}

/** A button that copies what `text` gives, and says so. */
export function copyButton(label: string, text: () => string): HTMLElement {
  const button = h('button', { type: 'button', class: 'quiet', onclick: () => void copy() }, label);
  async function copy(): Promise<void> {
    button.textContent = (await copied(text())) ? 'Copied' : 'Not copied';
    setTimeout(() => (button.textContent = label), 1500);
  }
  return button;
}

async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Pages that came over plain HTTP have no clipboard but this one.
    const area = h('textarea', { class: 'aside', 'aria-hidden': 'true' });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}
