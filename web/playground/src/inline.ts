// What stands inside a block of Markdown: emphasis, code, links. No HTML of the text is ever taken for more than text.

import { add, h } from './dom.js';

// How deep one may stand in another.
const MAX_DEPTH = 6;
const MAX_TRIES = 8;
const MAX_LINK_CHARACTERS = 2000;

export function withInline<Parent extends HTMLElement>(parent: Parent, text: string): Parent {
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
      if (address === undefined) {
        return undefined;
      }
      // The end of a pair that stands in the address is no bracket around it.
      const whole = text[at + address.length] === ')' && count(address, '(') > count(address, ')') ? `${address})` : address;
      return { node: link(whole, whole), end: at + whole.length };
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
  // Two stars that end beside one: the one is of what stands between.
  if (width === 2 && text[end + 2] === mark && text.slice(begin, end).includes(mark)) {
    end += 1;
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
  const end = middle === -1 ? -1 : endOfAddress(text, middle, find(')', middle));
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

/** An address may have a pair of brackets in it, and then ends at the next one. */
function endOfAddress(text: string, middle: number, end: number): number {
  if (end === -1 || end - middle > MAX_LINK_CHARACTERS || !text.slice(middle + 2, end).includes('(')) {
    return end;
  }
  const rest = /^[^\s()]*\)/.exec(text.slice(end + 1, end + MAX_LINK_CHARACTERS));
  return end + (rest?.[0].length ?? 0);
}

function count(text: string, part: string): number {
  return text.split(part).length - 1;
}

function link(address: string, text: string): HTMLElement {
  return h('a', { href: address, target: '_blank', rel: 'noopener noreferrer' }, text || undefined);
}
