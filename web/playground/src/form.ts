// A form out of a JSON Schema: fields for what it knows, JSON for the rest. The server decides what is right.

import { freshId, h } from './dom.js';
import type { Schema } from './facts.js';
import { alternativesField, alternativesOf } from './form_choices.js';
import { listField } from './form_lists.js';

/** `value` is undefined for what is left out. */
export interface Field {
  element: HTMLElement;
  value: () => unknown;
  set: (value: unknown) => void;
  /** Show what is wrong at this place, given below it as a JSON Pointer; say whether there is such a place. */
  complain: (pointer: string, message: string) => boolean;
  clear: () => void;
}

export interface Place {
  root: Schema;
  name: string;
  isRequired: boolean;
  depth: number;
}

export const MAX_DEPTH = 5;
const MAX_REFERENCES = 16;

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Return the schema with what it refers to put in, and one of several alternatives if there is but one beside null. */
export function resolved(schema: unknown, root: Schema): Schema {
  let known = isObject(schema) ? schema : {};
  for (let count = 0; count < MAX_REFERENCES; count += 1) {
    const { $ref: reference, allOf, anyOf, oneOf, ...rest } = known;
    const choices = [anyOf, oneOf].find(Array.isArray) as unknown[] | undefined;
    const real = choices?.filter((one) => !isObject(one) || one['type'] !== 'null') ?? [];
    if (typeof reference === 'string') {
      known = { ...target(reference, root), ...rest };
    } else if (Array.isArray(allOf) && allOf.every(isObject)) {
      known = allOf.map((one) => resolved(one, root)).reduce(both, { ...rest, ...(anyOf ? { anyOf } : {}), ...(oneOf ? { oneOf } : {}) });
    } else if (real.length === 1 && isObject(real[0])) {
      known = { ...real[0], ...rest };
    } else {
      return allOf !== undefined ? { ...known, type: 'any' } : known;
    }
  }
  return {};
}

/** What fits both, as far as a form can tell. */
export function both(one: Schema, other: Schema): Schema {
  const lists = [one['required'], other['required']].filter(Array.isArray).flat() as unknown[];
  const parts = [other['properties'], one['properties']].filter(isObject);
  return {
    ...other,
    ...one,
    ...(lists.length > 0 ? { required: lists } : {}),
    ...(parts.length > 0 ? { properties: Object.assign({}, ...parts) as Schema } : {}),
  };
}

function target(reference: string, root: Schema): Schema {
  let found: unknown = reference.startsWith('#') ? root : undefined;
  for (const key of reference.slice(1).split('/').slice(1)) {
    const name = decodeURIComponent(key).replaceAll('~1', '/').replaceAll('~0', '~');
    found = isObject(found) ? found[name] : undefined;
  }
  return isObject(found) ? found : {};
}

export function typeOf(schema: Schema): string {
  const { type } = schema;
  if (Array.isArray(type)) {
    const real = type.filter((one) => one !== 'null');
    return real.length === 1 ? String(real[0]) : 'any';
  }
  if (typeof type === 'string') {
    return type;
  }
  return isObject(schema['properties']) ? 'object' : 'any';
}

/** The field of a whole input; at its root a schema without a type is one of an object. */
export function formOf(schema: Schema): Field {
  const root = { type: 'object', ...schema };
  return fieldOf(root, { root: schema, name: '', isRequired: true, depth: 0 });
}

export function fieldOf(given: unknown, place: Place): Field {
  const schema = resolved(given, place.root);
  const type = typeOf(schema);
  const alternatives = place.depth < MAX_DEPTH ? alternativesOf(schema, place.root) : [];
  if (alternatives.length > 1) {
    return alternativesField(schema, alternatives, place);
  }
  if (type === 'array' && isObject(schema['items']) && place.depth < MAX_DEPTH) {
    return listField(schema, schema['items'], place);
  }
  if (type === 'object' && isObject(schema['properties']) && place.depth < MAX_DEPTH) {
    return objectField(schema, schema['properties'], place);
  }
  if (Array.isArray(schema['enum']) || schema['const'] !== undefined) {
    return choiceField(schema, (schema['enum'] as unknown[] | undefined) ?? [schema['const']], place);
  }
  switch (type) {
    case 'string':
      return textField(schema, place);
    case 'integer':
    case 'number':
      return numberField(schema, type, place);
    case 'boolean':
      return flagField(schema, place);
    default:
      return jsonField(schema, place);
  }
}

function objectField(schema: Schema, properties: Record<string, unknown>, place: Place): Field {
  const required = Array.isArray(schema['required']) ? schema['required'] : [];
  const fields = Object.entries(properties).map(([name, part]) => {
    const inner = { root: place.root, name, isRequired: required.includes(name), depth: place.depth + 1 };
    return [name, fieldOf(part, inner)] as const;
  });
  // What the form has no field for, from JSON that was edited, stays.
  let others: Record<string, unknown> = {};
  const element =
    place.depth === 0
      ? h('div', { class: 'fields' })
      : h('fieldset', {}, h('legend', {}, titleOf(schema, place), optionalOf(place)), hintOf(schema)?.element);
  element.append(...fields.map(([, field]) => field.element));
  const read = (): Record<string, unknown> => {
    const value = { ...others };
    for (const [name, field] of fields) {
      const part = field.value();
      if (part !== undefined) {
        value[name] = part;
      }
    }
    return value;
  };
  // An optional object that nobody has touched is left out, whatever its fields hold.
  const untouched = JSON.stringify(read());
  let isGiven = false;
  return {
    element,
    value: () => {
      const value = read();
      return place.isRequired || isGiven || JSON.stringify(value) !== untouched ? value : undefined;
    },
    set: (value) => {
      isGiven = isObject(value);
      const parts = isObject(value) ? value : {};
      others = Object.fromEntries(Object.entries(parts).filter(([name]) => !(name in properties)));
      for (const [name, field] of fields) {
        field.set(parts[name]);
      }
    },
    complain: (pointer, message) => {
      const [, first = '', ...rest] = pointer.split('/');
      const name = first.replaceAll('~1', '/').replaceAll('~0', '~');
      const missing = rest.length === 0 && first === '' ? /"([^"]+)" is a required/.exec(message)?.[1] : undefined;
      const found = fields.find(([one]) => one === (missing ?? name));
      return found?.[1].complain(rest.length > 0 ? `/${rest.join('/')}` : '', message) ?? false;
    },
    clear: () => {
      for (const [, field] of fields) {
        field.clear();
      }
    },
  };
}

type Input = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

interface Reading {
  value: () => unknown;
  show: (value: unknown) => void;
}

/** A label, the input, a hint, and room for what is wrong. */
function labelled(schema: Schema, place: Place, input: Input, { value, show }: Reading): Field {
  const problem = h('p', { class: 'problem', id: freshId('problem'), hidden: true });
  const hint = hintOf(schema);
  input.id = freshId('field');
  input.setAttribute('aria-describedby', [hint?.id, problem.id].filter(Boolean).join(' '));
  if (place.isRequired && input.type !== 'checkbox') {
    input.setAttribute('aria-required', 'true');
  }
  const title = titleOf(schema, place);
  const limits = limitsOf(schema);
  const label = h('label', { for: input.id }, title, optionalOf(place), limits && h('span', { class: 'faint' }, place.isRequired ? ` ${limits}` : `, ${limits}`));
  const isFlag = input.type === 'checkbox';
  const element = h('div', { class: isFlag ? 'field flag' : 'field' }, isFlag ? input : label, isFlag ? label : input);
  element.append(...(hint === undefined ? [] : [hint.element]), problem);
  show(schema['default']);
  const clear = (): void => {
    problem.hidden = true;
    input.removeAttribute('aria-invalid');
  };
  input.addEventListener('input', clear);
  return {
    element,
    value,
    set: (given) => {
      clear();
      show(given);
    },
    complain: (pointer, message) => {
      problem.textContent = pointer === '' ? message : `${pointer}: ${message}`;
      problem.hidden = false;
      input.setAttribute('aria-invalid', 'true');
      return true;
    },
    clear,
  };
}

function textField(schema: Schema, place: Place): Field {
  const kinds: Record<string, string> = { date: 'date', email: 'email', uri: 'url' };
  const kind = kinds[String(schema['format'])];
  const isShort = kind !== undefined || schema['format'] !== undefined || Number(schema['maxLength'] ?? 1e9) <= 80;
  const placeholder = exampleOf(schema) ?? (schema['format'] === 'date-time' ? '2030-01-31T12:00:00Z' : undefined);
  const input = isShort
    ? h('input', { type: kind ?? 'text', placeholder, autocomplete: 'off' })
    : h('textarea', { rows: 2, placeholder });
  return labelled(schema, place, input, {
    value: () => (input.value !== '' || place.isRequired ? input.value : undefined),
    show: (value) => (input.value = typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value)),
  });
}

function numberField(schema: Schema, type: string, place: Place): Field {
  const { minimum: min, maximum: max } = schema as { minimum?: number; maximum?: number };
  const step = type === 'integer' ? 1 : 'any';
  const input = h('input', { type: 'number', step, min, max, placeholder: exampleOf(schema) });
  return labelled(schema, place, input, {
    value: () => (input.value === '' ? undefined : Number(input.value)),
    show: (value) => (input.value = typeof value === 'number' ? String(value) : ''),
  });
}

function flagField(schema: Schema, place: Place): Field {
  const input = h('input', { type: 'checkbox' });
  const usual = schema['default'] === true;
  return labelled(schema, place, input, {
    value: () => (place.isRequired || input.checked !== usual ? input.checked : undefined),
    show: (value) => (input.checked = value === undefined ? usual : value === true),
  });
}

function choiceField(schema: Schema, choices: unknown[], place: Place): Field {
  const options = choices.map((one, number) =>
    h('option', { value: number }, typeof one === 'string' ? one : JSON.stringify(one)),
  );
  const input = h('select', {}, place.isRequired ? null : h('option', { value: '' }, ''), ...options);
  return labelled(schema, place, input, {
    value: () => (input.value === '' ? undefined : choices[Number(input.value)]),
    show: (value) => {
      const number = choices.findIndex((one) => JSON.stringify(one) === JSON.stringify(value));
      input.value = number >= 0 ? String(number) : place.isRequired ? '0' : '';
    },
  });
}

export function jsonField(schema: Schema, place: Place): Field {
  const example = Array.isArray(schema['examples']) ? JSON.stringify(schema['examples'][0]) : undefined;
  const usual = typeOf(schema) === 'array' ? '[]' : typeOf(schema) === 'object' ? '{}' : 'null';
  const input = h('textarea', { rows: 2, class: 'mono', spellcheck: 'false', placeholder: example ?? 'JSON' });
  return labelled(schema, place, input, {
    value: () => {
      const text = input.value.trim();
      if (text === '') {
        return place.isRequired ? (JSON.parse(usual) as unknown) : undefined;
      }
      try {
        return JSON.parse(text) as unknown;
      } catch {
        // The server says what is wrong with a text where it wants something else.
        return text;
      }
    },
    show: (value) => (input.value = value === undefined ? '' : JSON.stringify(value, null, 2)),
  });
}

export function titleOf(schema: Schema, place: Place): string {
  return typeof schema['title'] === 'string' ? schema['title'] : place.name || 'Input';
}

export function optionalOf(place: Place): HTMLElement | null {
  return place.isRequired ? null : h('span', { class: 'faint' }, ' optional');
}

export function hintOf(schema: Schema): { element: HTMLElement; id: string } | undefined {
  if (typeof schema['description'] !== 'string') {
    return undefined;
  }
  const id = freshId('hint');
  return { element: h('p', { class: 'hint', id }, schema['description']), id };
}

/** What a number may be, in words. */
function limitsOf({ minimum: min, maximum: max }: Schema): string {
  if (min !== undefined && max !== undefined) {
    return `${String(min)} to ${String(max)}`;
  }
  return min !== undefined ? `${String(min)} or more` : max !== undefined ? `${String(max)} or less` : '';
}

/** What the schema gives as an example: of the whole, or of the parts that have any. */
export function exampleFor(schema: unknown, root: Schema, depth = 0): unknown {
  const { examples, properties } = resolved(schema, root);
  if (Array.isArray(examples) && examples.length > 0) {
    return examples[0] as unknown;
  }
  if (!isObject(properties) || depth > MAX_DEPTH) {
    return undefined;
  }
  const parts = Object.entries(properties).map(([name, part]) => [name, exampleFor(part, root, depth + 1)] as const);
  const given = parts.filter(([, value]) => value !== undefined);
  return given.length > 0 ? Object.fromEntries(given) : undefined;
}

function exampleOf(schema: Schema): string | undefined {
  const [first] = Array.isArray(schema['examples']) ? schema['examples'] : [];
  return first === undefined ? undefined : typeof first === 'string' ? first : JSON.stringify(first);
}
