// A list in a form: one field for each item, with buttons to add and to remove.

import { freshId, h } from './dom.js';
import type { Schema } from './facts.js';
import { type Field, fieldOf, hintOf, optionalOf, type Place, titleOf } from './form.js';

export function listField(schema: Schema, items: Schema, place: Place): Field {
  const title = titleOf(schema, place);
  const list = h('ol', { class: 'items' });
  const problem = h('p', { class: 'problem', id: freshId('problem'), hidden: true });
  const add = h('button', { type: 'button', class: 'add', onclick: () => append(undefined, true) }, `Add to ${title}`);
  const hint = hintOf(schema);
  const element = h(
    'fieldset',
    { 'aria-describedby': [hint?.id, problem.id].filter(Boolean).join(' ') },
    h('legend', {}, title, optionalOf(place)),
    hint?.element,
    list,
    problem,
    h('div', {}, add),
  );
  let fields: Field[] = [];
  // What was given and is no list stays until the list is touched.
  let other: unknown;

  function append(value: unknown, isNew: boolean): void {
    const inner = { root: place.root, name: `${title} ${fields.length + 1}`, isRequired: true, depth: place.depth + 1 };
    const field = fieldOf(items, inner);
    if (!isNew) {
      field.set(value);
    }
    const remove = h('button', { type: 'button', class: 'quiet', 'aria-label': `Remove ${inner.name}`, onclick: () => drop(field) }, 'Remove');
    fields.push(field);
    list.append(h('li', {}, field.element, remove));
    if (isNew) {
      touched();
      field.element.querySelector<HTMLElement>('input, textarea, select, button')?.focus();
    }
  }
  function drop(field: Field): void {
    show(fields.filter((one) => one !== field).map((one) => one.value()));
    touched();
    add.focus();
  }
  function touched(): void {
    other = undefined;
    problem.hidden = true;
    element.dispatchEvent(new Event('input', { bubbles: true }));
  }
  function show(values: unknown): void {
    fields = [];
    list.replaceChildren();
    other = Array.isArray(values) ? undefined : values;
    for (const value of Array.isArray(values) ? values : []) {
      append(value, false);
    }
  }
  show(schema['default']);
  return {
    element,
    value: () => {
      if (fields.length === 0) {
        return other ?? (place.isRequired ? [] : undefined);
      }
      return fields.map((field) => field.value() ?? null);
    },
    set: (value) => {
      problem.hidden = true;
      show(value);
    },
    complain: (pointer, message) => {
      const [, first = '', ...rest] = pointer.split('/');
      const field = pointer === '' ? undefined : fields[Number(first)];
      if (field?.complain(rest.length > 0 ? `/${rest.join('/')}` : '', message)) {
        return true;
      }
      problem.textContent = pointer === '' ? message : `${pointer}: ${message}`;
      problem.hidden = false;
      return true;
    },
    clear: () => {
      problem.hidden = true;
      for (const field of fields) {
        field.clear();
      }
    },
  };
}
