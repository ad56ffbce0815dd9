// A question of the agent: what it asks, in its place, and how it is answered.

import type { InterruptEvent } from 'dockrion-client';

import { add, freshId, h, shown } from './dom.js';
import { isObject } from './form.js';

// Under which of these names agents put what they ask, and what they offer.
const TEXTS = ['question', 'message', 'prompt'];
const CHOICES = ['options', 'choices'];

export interface Asking {
  /** Throws what the server says against it. */
  send: (reply: unknown) => Promise<void>;
  /** Where somebody who has answered goes on: at the next question, if there is one. */
  next: () => HTMLElement | undefined;
}

export function questionCard({ value }: InterruptEvent, { send, next }: Asking): HTMLElement {
  const name = isObject(value) ? TEXTS.find((one) => typeof value[one] === 'string') : undefined;
  const text = isObject(value) ? name && value[name] : value;
  const choices = isObject(value) ? CHOICES.map((one) => value[one]).find(Array.isArray) : undefined;
  const rest = isObject(value) ? without(value, [name ?? '', ...CHOICES]) : typeof value === 'string' ? undefined : value;
  const title = h('h3', { id: freshId('question'), dir: 'auto' }, typeof text === 'string' ? text : 'The agent asks');
  const problem = h('p', { class: 'problem', role: 'alert', hidden: true });
  const input = h('textarea', { rows: 1, id: freshId('reply'), dir: 'auto', placeholder: 'Your answer' });
  const isJson = h('input', { type: 'checkbox', id: freshId('json') });
  const card = h('form', { class: 'question', tabindex: -1, 'aria-labelledby': title.id }, title);
  const complain = (message: string): void => {
    problem.textContent = message;
    problem.hidden = false;
  };
  const answer = async (reply: unknown): Promise<void> => {
    problem.hidden = true;
    card.classList.add('sending');
    try {
      const said = `Answered: ${typeof reply === 'string' ? reply : JSON.stringify(reply)}`;
      card.dataset['note'] = said;
      await send(reply);
      closeQuestion(card, said, next());
    } catch (error) {
      delete card.dataset['note'];
      complain(error instanceof Error ? error.message : String(error));
    } finally {
      card.classList.remove('sending');
    }
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    try {
      void answer(isJson.checked ? (JSON.parse(input.value) as unknown) : input.value);
    } catch {
      complain('This is not JSON.');
    }
  };
  card.addEventListener('submit', submit);
  input.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      submit(event);
    }
  });
  add(
    card,
    rest === undefined || (isObject(rest) && Object.keys(rest).length === 0)
      ? null
      : h('pre', { class: 'code', tabindex: 0, 'aria-label': 'What the question is about' }, h('code', {}, shown(rest))),
    choices === undefined
      ? null
      : h(
          'div',
          { class: 'row' },
          ...choices.map((choice: unknown) =>
            h('button', { type: 'button', onclick: () => void answer(choice) }, typeof choice === 'string' ? choice : JSON.stringify(choice)),
          ),
        ),
    h('label', { for: input.id, class: 'unseen' }, 'Your answer'),
    h('div', { class: 'row' }, input, h('button', { class: 'primary', type: 'submit' }, 'Answer')),
    h('div', { class: 'flag' }, isJson, h('label', { for: isJson.id }, 'Send it as JSON')),
    problem,
  );
  return card;
}

/** Leave the question, without a way to answer it; who was in it goes on at `next`, or stays at what was asked. */
export function closeQuestion(card: HTMLElement, note: string, next?: HTMLElement): void {
  if (card.classList.contains('closed')) {
    return;
  }
  const wasHere = card.contains(document.activeElement);
  for (const control of card.querySelectorAll('.row, .flag, label, .problem')) {
    control.remove();
  }
  card.classList.add('closed');
  const said = card.dataset['note'] ?? note;
  add(card, said === '' ? null : h('p', { class: 'note', dir: 'auto' }, said));
  if (wasHere) {
    (next ?? card).focus({ preventScroll: next === undefined });
  }
}

/** What a question holds beside its text and its answers. */
function without(value: Record<string, unknown>, names: string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name)));
}
