// Markdown that grows, as elements: no HTML of the text is ever taken for more than text.
//
// All blocks but the last ones are done and never touched again, so a long answer costs no more at its end than at its begin.

import { add, h } from './dom.js';

const MAX_OPEN_CHARACTERS = 6000;
// A browser leaves out what is not seen, part by part.
const BLOCKS_A_PART = 40;
const MAX_DEPTH = 6;
const MAX_TRIES = 8;
const MAX_LINK_CHARACTERS = 2000;
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const DASHES = /^ {0,3}\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;

interface Block {
  kind: 'code' | 'heading' | 'rule' | 'quote' | 'list' | 'table' | 'text';
  lines: string[];
  /** The line of the text that it begins with. */
  start: number;
  /** Of code: whether its end has come. */
  isClosed?: boolean;
}

/** The level of the last heading. */
interface Outline {
  level: number;
}

export class MarkdownStream {
  #open = '';
  // What the open text is for now.
  #tentative: HTMLElement[] = [];
  readonly #outline: Outline = { level: 2 };
  // Of code that is still being written: its text, which only grows.
  #code: { node: Text; length: number } | undefined;

  #part: HTMLElement | undefined;

  constructor(private readonly root: HTMLElement) {}

  append(text: string): void {
    this.#open += text;
    if (this.#code !== undefined && !/[`~]{3}/.test(this.#open.slice(Math.max(0, this.#code.length - 3)))) {
      this.#growCode(this.#code);
      return;
    }
    this.#render();
  }

  #render(): void {
    const lines = this.#open.split('\n');
    const blocks = blocksOf(lines);
    // The last line may still become something else, so it ends no block.
    const start = blocksOf(lines.slice(0, -1)).at(-1)?.start ?? 0;
    for (const element of this.#tentative) {
      element.remove();
    }
    this.#code = undefined;
    for (const block of blocks.filter((one) => one.start < start)) {
      this.#append(elementOf(block, 0, this.#outline));
    }
    this.#open = lines.slice(start).join('\n');
    const open = blocks.filter((one) => one.start >= start);
    const [first] = open;
    if (first?.kind !== 'code' && this.#open.length > MAX_OPEN_CHARACTERS) {
      this.#tentative = [];
      this.#cut();
      return;
    }
    const outline = { ...this.#outline };
    this.#tentative = open.map((block) => elementOf(block, 0, outline));
    for (const element of this.#tentative) {
      this.#append(element);
    }
    const node = this.#tentative[0]?.querySelector('code')?.firstChild;
    if (first?.kind === 'code' && !first.isClosed && first.lines.length > 1 && node instanceof Text) {
      this.#code = { node, length: this.#open.length };
    }
  }

  #append(block: HTMLElement): void {
    if (this.#part === undefined || this.#part.childElementCount >= BLOCKS_A_PART) {
      this.#part = h('div', { class: 'part' });
      this.root.append(this.#part);
    }
    this.#part.append(block);
  }

  #growCode(code: { node: Text; length: number }): void {
    code.node.appendData(this.#open.slice(code.length));
    code.length = this.#open.length;
  }

  /** A block without an end is done up to some line or word: the same one, however the text came. */
  #cut(): void {
    while (this.#open.length > MAX_OPEN_CHARACTERS) {
      const line = this.#open.lastIndexOf('\n', MAX_OPEN_CHARACTERS);
      const end = line > 0 ? line : this.#open.lastIndexOf(' ', MAX_OPEN_CHARACTERS);
      const place = end > 0 ? end : MAX_OPEN_CHARACTERS;
      for (const block of blocksOf(this.#open.slice(0, place).split('\n'))) {
        this.#append(elementOf(block, 0, this.#outline));
      }
      this.#open = this.#open.slice(end > 0 ? place + 1 : place);
    }
    this.#render();
  }
}

/** Append the blocks of a text that is whole. */
function markdown(root: HTMLElement, text: string, depth: number, outline: Outline): void {
  for (const block of blocksOf(text.split('\n'))) {
    root.append(elementOf(block, depth, outline));
  }
}

function blocksOf(lines: string[]): Block[] {
  const blocks: Block[] = [];
  let block: Block | undefined;
  let fence = '';
  let number = -1;
  const begin = (kind: Block['kind'], line: string): void => {
    block = { kind, lines: [line], start: number };
    blocks.push(block);
  };
  for (const line of lines) {
    number += 1;
    if (block?.kind === 'code' && !block.isClosed) {
      block.lines.push(line);
      block.isClosed = line.trim().startsWith(fence) && line.trim().replaceAll(fence[0] ?? '', '') === '';
      continue;
    }
    const opened = FENCE.exec(line);
    if (opened !== null) {
      fence = opened[1] ?? '';
      begin('code', line);
    } else if (line.trim() === '') {
      // A list may go on behind a blank line; everything else is over.
      if (block?.kind === 'list') {
        block.lines.push(line);
      } else {
        block = undefined;
      }
    } else if (block?.kind === 'list' && !isOtherList(block, line) && (ITEM.test(line) || /^\s{2,}\S/.test(line) || block.lines.at(-1)?.trim())) {
      block.lines.push(line);
    } else if (HEADING.test(line)) {
      begin('heading', line);
    } else if (RULE.test(line)) {
      begin('rule', line);
    } else if (QUOTE.test(line)) {
      block?.kind === 'quote' ? block.lines.push(line) : begin('quote', line);
    } else if (ITEM.test(line)) {
      begin('list', line);
    } else if (block?.kind === 'text' && block.lines.length === 1 && block.lines[0]?.includes('|') && DASHES.test(line)) {
      block.kind = 'table';
      block.lines.push(line);
    } else if (block?.kind === 'text' || (block?.kind === 'table' && line.includes('|'))) {
      block.lines.push(line);
    } else {
      begin('text', line);
    }
  }
  return blocks;
}

/** Whether a line begins a list of the other kind, at the margin of this one. */
function isOtherList(block: Block, line: string): boolean {
  const [, indent = '', mark = ''] = ITEM.exec(block.lines[0] ?? '') ?? [];
  const found = ITEM.exec(line);
  return found !== null && (found[1]?.length ?? 0) <= indent.length + 1 && /\d/.test(found[2] ?? '') !== /\d/.test(mark);
}

function elementOf(block: Block, depth: number, outline: Outline): HTMLElement {
  const { lines } = block;
  switch (block.kind) {
    case 'code': {
      const language = FENCE.exec(lines[0] ?? '')?.[2];
      const text = lines.slice(1, block.isClosed ? -1 : undefined).join('\n');
      const code = h('code', {}, document.createTextNode(text));
      return h('pre', { class: 'code', tabindex: 0, 'aria-label': language ? `Code, ${language}` : 'Code' }, code);
    }
    case 'heading': {
      const [, marks = '#', text = ''] = HEADING.exec(lines[0] ?? '') ?? [];
      // Below the page's own, and none left out: people go from heading to heading.
      const level = Math.min(6, marks.length + 2, outline.level + 1) as 3 | 4 | 5 | 6;
      outline.level = level;
      return withInline(h(`h${level}`), text);
    }
    case 'rule':
      return h('hr');
    case 'quote': {
      const quote = h('blockquote');
      const inner = lines.map((line) => line.replace(QUOTE, '')).join('\n');
      depth < MAX_DEPTH ? markdown(quote, inner, depth + 1, outline) : withInline(quote, inner);
      return quote;
    }
    case 'list':
      return listOf(lines, depth, outline);
    case 'table':
      return tableOf(lines);
    case 'text':
      return withInline(h('p'), lines.join('\n'));
  }
}

function listOf(lines: string[], depth: number, outline: Outline): HTMLElement {
  const [, indent = '', mark = '-'] = ITEM.exec(lines[0] ?? '') ?? [];
  const list = /\d/.test(mark) ? h('ol', { start: Number.parseInt(mark, 10) }) : h('ul');
  let item: string[] = [];
  const end = (): void => {
    const [first = '', ...rest] = item;
    const element = withInline(h('li'), first);
    const inner = dedented(rest);
    if (inner.trim() !== '') {
      depth < MAX_DEPTH ? markdown(element, inner, depth + 1, outline) : withInline(element, inner);
    }
    list.append(element);
  };
  for (const [number, line] of lines.entries()) {
    const found = ITEM.exec(line);
    if (found !== null && (found[1]?.length ?? 0) <= indent.length + 1) {
      if (number > 0) {
        end();
      }
      item = [found[3] ?? ''];
    } else {
      item.push(line);
    }
  }
  end();
  return list;
}

function dedented(lines: string[]): string {
  const widths = lines.filter((line) => line.trim() !== '').map((line) => line.length - line.trimStart().length);
  const width = Math.min(...widths, 80);
  return lines.map((line) => line.slice(width)).join('\n');
}

function tableOf(lines: string[]): HTMLElement {
  const [head = '', , ...rows] = lines;
  const cells = (line: string): string[] => line.trim().replace(/^\||\|$/g, '').split('|');
  const row = (tag: 'th' | 'td', line: string): HTMLElement =>
    h('tr', {}, ...cells(line).map((cell) => withInline(h(tag), cell.trim())));
  const table = h('table', {}, h('thead', {}, row('th', head)), h('tbody', {}, ...rows.map((line) => row('td', line))));
  return h('div', { class: 'wide', tabindex: 0, role: 'region', 'aria-label': 'Table' }, table);
}

function withInline<Parent extends HTMLElement>(parent: Parent, text: string): Parent {
  inline(parent, text, 0);
  return parent;
}

const SPECIAL = /[\\`*_~[!\n]|https?:\/\//g;

function inline(parent: Node, text: string, depth: number): void {
  // What was found behind one place is still the next behind a later one, and what was not found is nowhere: looking for
  // ends costs no more than the text is long.
  const known = new Map<string, number>();
  const find = (what: string, from: number): number => {
    let place = known.get(what);
    if (place === undefined || (place !== -1 && place < from)) {
      place = text.indexOf(what, from);
      known.set(what, place);
    }
    return place;
  };
  let start = 0;
  let place = 0;
  const put = (end: number, node: Node | undefined, next: number): void => {
    add(parent, text.slice(start, end) || undefined, node);
    start = place = next;
  };
  for (;;) {
    SPECIAL.lastIndex = place;
    const found = SPECIAL.exec(text);
    if (found === null) {
      break;
    }
    const at = found.index;
    const spot = depth < MAX_DEPTH ? spanAt(text, at, depth, find) : undefined;
    if (spot === undefined) {
      place = at + 1;
    } else {
      put(at, spot.node, spot.end);
    }
  }
  put(text.length, undefined, text.length);
}

type Find = (what: string, from: number) => number;
type Span = { node: Node; end: number } | undefined;

function spanAt(text: string, at: number, depth: number, find: Find): Span {
  switch (text[at]) {
    case '\n':
      return { node: h('br'), end: at + 1 };
    case '\\':
      return /[!-/:-@[-`{-~]/.test(text[at + 1] ?? '')
        ? { node: document.createTextNode(text[at + 1] ?? ''), end: at + 2 }
        : undefined;
    case '`': {
      const ticks = /^`+/.exec(text.slice(at, at + 20))?.[0] ?? '`';
      const end = find(ticks, at + ticks.length);
      return end === -1
        ? undefined
        : { node: h('code', {}, text.slice(at + ticks.length, end)), end: end + ticks.length };
    }
    case '*':
    case '_':
    case '~':
      return emphasisAt(text, at, depth, find);
    case '!':
      return text[at + 1] === '[' ? linkAt(text, at + 1, depth, find) : undefined;
    case '[':
      return linkAt(text, at, depth, find);
    default: {
      const address = /^https?:\/\/[^\s<>"'`|]*[^\s<>"'`|.,:;!?)\]*_]/.exec(text.slice(at, at + 2000))?.[0];
      return address === undefined ? undefined : { node: link(address, address), end: at + address.length };
    }
  }
}

function emphasisAt(text: string, at: number, depth: number, find: Find): Span {
  const mark = text[at] ?? '';
  const width = text[at + 1] === mark ? 2 : 1;
  if ((mark === '~' && width === 1) || (mark === '_' && /\w/.test(text[at - 1] ?? ''))) {
    return undefined;
  }
  const marks = mark.repeat(width);
  const begin = at + width;
  let end = find(marks, begin + 1);
  // One star does not end at the first of two.
  for (let tries = 0; width === 1 && end !== -1 && text[end + 1] === mark; tries += 1) {
    end = tries < MAX_TRIES ? text.indexOf(marks, end + 2) : -1;
  }
  if (end === -1 || /\s/.test(text[begin] ?? ' ') || /\s/.test(text[end - 1] ?? ' ')) {
    return undefined;
  }
  if (mark === '_' && /\w/.test(text[end + width] ?? '')) {
    return undefined;
  }
  const element = h(mark === '~' ? 'del' : width === 2 ? 'strong' : 'em');
  inline(element, text.slice(begin, end), depth + 1);
  return { node: element, end: end + width };
}

function linkAt(text: string, at: number, depth: number, find: Find): Span {
  const middle = find('](', at);
  const end = middle === -1 ? -1 : find(')', middle);
  if (end === -1 || end - at > MAX_LINK_CHARACTERS || text.slice(at + 1, middle).includes('\n')) {
    return undefined;
  }
  const address = text.slice(middle + 2, end).trim().split(/\s/)[0] ?? '';
  if (!/^(https?:\/\/|mailto:)/i.test(address)) {
    return undefined;
  }
  const element = link(address, '');
  inline(element, text.slice(at + 1, middle) || address, MAX_DEPTH - 1 + Math.min(depth, 1));
  return { node: element, end: end + 1 };
}

function link(address: string, text: string): HTMLElement {
  return h('a', { href: address, target: '_blank', rel: 'noopener noreferrer' }, text || undefined);
}
