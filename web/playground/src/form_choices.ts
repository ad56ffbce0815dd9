// One of several kinds of value: which one, and the field of that.

import { freshId, h } from './dom.js';
import type { Schema } from './facts.js';
import { both, type Field, fieldOf, isObject, jsonField, optionalOf, type Place, resolved, titleOf, typeOf } from './form.js';

const MAX_ALTERNATIVES = 12;
// What makes a value one of another kind.
const OWN = ['type', 'properties', 'const', 'enum', 'anyOf', 'oneOf', 'items'];

/** The schemas that a value may be of, one by one; none where there is but one. */
export function alternativesOf(schema: Schema, root: Schema): Schema[] {
  const { anyOf, oneOf, type, ...rest } = schema;
  const choices = [anyOf, oneOf].find(Array.isArray) as unknown[] | undefined;
  if (choices !== undefined) {
    const { title: _, description: __, default: ___, ...shared } = rest;
    const alternatives = choices.map((one) => {
      const known = resolved(one, root);
      return isObject(shared['properties']) ? both(known, shared) : known;
    });
    // Some only say which properties there must be; that is the server's to check.
    const areKinds = choices.every((one) => OWN.some((name) => name in resolved(one, root)));
    return areKinds && alternatives.length <= MAX_ALTERNATIVES ? alternatives : [];
  }
  const types = Array.isArray(type) ? (type as unknown[]).filter((one) => one !== 'null') : [];
  return types.length > 1 ? types.map((one) => ({ ...rest, type: one, title: undefined, description: undefined })) : [];
}

export function alternativesField(schema: Schema, alternatives: Schema[], place: Place): Field {
  const title = titleOf(schema, place);
  const inner = { ...place, isRequired: true, depth: place.depth + 1 };
  // Made when they are asked for: a schema may hold itself.
  const fields = new Map<number, Field>();
  const fieldAt = (number: number): Field => {
    const one = alternatives[number];
    const made = (): Field =>
      // What is none of them comes from JSON that was edited.
      one === undefined ? jsonField({ title }, inner) : typeOf(one) === 'null' ? nothing() : fieldOf({ ...one, title: one['title'] ?? title }, inner);
    const field = fields.get(number) ?? made();
    fields.set(number, field);
    return field;
  };
  const names = [...alternatives.map(nameOf), 'JSON'];
  const select = h(
    'select',
    { id: freshId('kind') },
    place.isRequired ? null : h('option', { value: '' }, '–'),
    ...names.map((name, number) => h('option', { value: number }, name)),
  );
  const slot = h('div', { class: 'fields' });
  const element = h('fieldset', {}, h('legend', {}, title, optionalOf(place)));
  if (typeof schema['description'] === 'string') {
    element.append(h('p', { class: 'hint' }, schema['description']));
  }
  element.append(h('div', { class: 'field' }, h('label', { for: select.id }, 'Kind'), select), slot);
  const chosen = (): Field | undefined => (select.value === '' ? undefined : fieldAt(Number(select.value)));
  const draw = (): void => slot.replaceChildren(...[chosen()?.element].filter((one) => one !== undefined));
  select.addEventListener('change', draw);
  const show = (value: unknown): void => {
    const fitting = alternatives.findIndex((one) => fits(one, value));
    const number = value === undefined ? (place.isRequired ? 0 : -1) : fitting === -1 ? alternatives.length : fitting;
    select.value = number === -1 ? '' : String(number);
    chosen()?.set(value);
    draw();
  };
  show(schema['default']);
  return {
    element,
    value: () => chosen()?.value(),
    set: show,
    complain: (pointer, message) => chosen()?.complain(pointer, message) ?? false,
    clear: () => chosen()?.clear(),
  };
}

function nothing(): Field {
  return { element: h('p', { class: 'hint' }, 'No value.'), value: () => null, set: () => {}, complain: () => false, clear: () => {} };
}

function nameOf(schema: Schema, number: number): string {
  const { title, const: only } = schema;
  const type = typeOf(schema);
  return typeof title === 'string' ? title : only !== undefined ? JSON.stringify(only) : type === 'any' ? `Kind ${number + 1}` : type;
}

/** Whether a value is of this kind, by its type and by what stands for its kind in it. */
function fits(schema: Schema, value: unknown): boolean {
  const { const: only, enum: values } = schema;
  if (only !== undefined || Array.isArray(values)) {
    return [only, ...(Array.isArray(values) ? (values as unknown[]) : [])].some((one) => JSON.stringify(one) === JSON.stringify(value));
  }
  switch (typeOf(schema)) {
    case 'object': {
      const { properties, required } = schema;
      const names = Array.isArray(required) ? (required as string[]) : [];
      const parts = isObject(properties) ? Object.entries(properties) : [];
      return (
        isObject(value) &&
        names.every((name) => name in value) &&
        parts.every(([name, part]) => !(name in value) || !isObject(part) || part['const'] === undefined || fits(part, value[name]))
      );
    }
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    case 'null':
      return value === null;
    case 'any':
      return true;
    default:
      return typeof value === typeOf(schema);
  }
}
