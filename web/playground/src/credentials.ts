// Who the reader is: a key or a token, kept in memory and nowhere else.

import { freshId, h } from './dom.js';
import { credentials, facts, isKey } from './facts.js';

export class CredentialsView {
  readonly button = h('button', { type: 'button', class: 'quiet', onclick: () => this.ask('') });
  readonly #dialog: HTMLDialogElement;
  readonly #input = h('input', { id: freshId('secret'), type: 'password', autocomplete: 'off', spellcheck: 'false' });
  readonly #why = h('p', { class: 'problem', role: 'alert', hidden: true });

  constructor(private readonly changed: () => void) {
    const title = h('h2', { id: freshId('title') }, isKey() ? 'API key' : 'Token');
    const form = h(
      'form',
      { method: 'dialog' },
      title,
      this.#why,
      h(
        'div',
        { class: 'field' },
        h('label', { for: this.#input.id }, isKey() ? `Sent as ${facts.auth?.header ?? ''}` : 'Sent as Authorization: Bearer'),
        this.#input,
        h('p', { class: 'hint' }, 'It stays in the memory of this page, until you reload or close it.'),
      ),
      h(
        'div',
        { class: 'row' },
        h('button', { class: 'primary', type: 'submit' }, 'Use'),
        h('button', { type: 'button', onclick: () => this.#take(undefined) }, 'Forget'),
        h('button', { type: 'button', class: 'quiet', onclick: () => this.#dialog.close() }, 'Close'),
      ),
    );
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#take(this.#input.value.trim() || undefined);
    });
    this.#dialog = h('dialog', { 'aria-labelledby': title.id }, form);
    document.body.append(this.#dialog);
    this.#draw();
  }

  /** Open the dialog; `why` says what made it necessary, and whether something was wrong; `left` hears that nothing was given. */
  ask(why: string, isWrong = false, left?: () => void): void {
    this.#dialog.onclose = left ?? null;
    this.#why.textContent = why;
    this.#why.hidden = why === '';
    this.#why.className = isWrong ? 'problem' : 'hint';
    if (!this.#dialog.open) {
      this.#dialog.showModal();
    }
    this.#input.focus();
  }

  #take(value: string | undefined): void {
    credentials.set(value);
    this.#dialog.onclose = null;
    this.#input.value = '';
    this.#dialog.close();
    this.#draw();
    this.changed();
  }

  #draw(): void {
    const name = isKey() ? 'API key' : 'Token';
    this.button.textContent = credentials.isSet ? `${name} is set` : `Set ${name === 'Token' ? 'token' : name}`;
    this.button.classList.toggle('is-set', credentials.isSet);
  }
}
