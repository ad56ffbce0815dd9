// Runs that were: those of this page, and those that the server keeps for its caller.

import { AuthError, type Client, type Run, type RunStatus } from 'dockrion-client';

import { add, h } from './dom.js';
import { credentials, facts } from './facts.js';
import { isObject } from './form.js';
import type { Order, Recording, Status } from './session.js';
import { brief } from './timeline.js';
import { RunWatcher } from './watch.js';

const PAGE = 15;
const MAX_RECORDINGS = 20;
const NAMES: Record<Status, string> = {
  idle: 'Idle',
  running: 'Running',
  reconnecting: 'Reconnecting',
  waiting: 'Waiting',
  complete: 'Complete',
  failed: 'Failed',
  cancelled: 'Cancelled',
  left: 'Stopped',
  aside: 'In background',
};
const STATUSES: Record<RunStatus, Status> = {
  ACCEPTED: 'running',
  RUNNING: 'running',
  INTERRUPTED: 'waiting',
  COMPLETED: 'complete',
  FAILED: 'failed',
  CANCELLED: 'cancelled',
};

export interface Opening {
  recorded: (recording: Recording) => void;
  kept: (runId: string) => void;
}

export class HistoryView {
  readonly element: HTMLElement;
  readonly #list = h('ul', { class: 'runs' });
  readonly #more = h('button', { type: 'button', class: 'quiet', hidden: true, onclick: () => void this.#load(true) }, 'Show more');
  readonly #problem = h('p', { class: 'problem', hidden: true });
  readonly #recordings: Recording[] = [];
  // What the runs of this page were given, by their ids.
  readonly #inputs = new Map<string, string>();
  #kept: Run[] = [];
  #cursor: string | undefined;
  #shown: Recording | undefined;
  readonly #news = h('p', { class: 'unseen', role: 'status' });
  readonly #watcher: RunWatcher;

  constructor(
    private readonly connect: () => Client,
    private readonly opening: Opening,
  ) {
    const refresh = facts.runs
      ? h('button', { type: 'button', class: 'quiet', onclick: () => this.#comeBack() }, 'Refresh')
      : null;
    this.element = h(
      'section',
      { class: 'card history', 'aria-labelledby': 'runs-title' },
      h('div', { class: 'row spread' }, h('h2', { id: 'runs-title' }, 'Runs'), refresh),
      this.#list,
      this.#problem,
      this.#more,
      this.#news,
    );
    this.#watcher = new RunWatcher(connect, (runId, status) => this.#heard(runId, status));
    document.addEventListener('visibilitychange', () => (document.hidden ? this.#watch() : this.#comeBack()));
    window.addEventListener('focus', () => this.#comeBack());
    this.#draw();
  }

  /** Somebody looks here again. */
  #comeBack(): void {
    this.#watcher.claim();
    if (facts.auth === null || credentials.isSet) {
      void this.#load(false);
    }
  }

  /** Mark the run that is looked at. */
  show(recording: Recording): void {
    this.#shown = recording;
    if (recording.runId !== undefined && recording.order !== undefined) {
      this.#inputs.set(recording.runId, inputOf(recording.order));
    }
    this.#draw();
  }

  /** Keep a run of this page, which the server may not. */
  keep(recording: Recording): void {
    if (!this.#recordings.includes(recording)) {
      this.#recordings.unshift(recording);
      this.#recordings.length = Math.min(this.#recordings.length, MAX_RECORDINGS);
    }
    this.#draw();
  }

  refresh(): Promise<void> {
    return this.#load(false);
  }

  async #load(isMore: boolean): Promise<void> {
    if (!facts.runs) {
      return;
    }
    try {
      const cursor = isMore ? this.#cursor : undefined;
      const page = await this.connect().runs.list({ limit: PAGE, cursor });
      this.#kept = isMore ? [...this.#kept, ...page.runs] : page.runs;
      this.#cursor = page.next_cursor ?? undefined;
      this.#problem.hidden = true;
    } catch (error) {
      if (error instanceof AuthError) {
        // Another reader sees nothing of what the one before had.
        this.#kept = [];
        this.#cursor = undefined;
      }
      this.#problem.textContent = error instanceof Error ? error.message : String(error);
      this.#problem.hidden = false;
    }
    this.#draw();
  }

  #heard(runId: string, status: RunStatus): void {
    const run = this.#kept.find((one) => one.run_id === runId);
    if (run !== undefined && run.status !== status) {
      run.status = status;
      this.#news.textContent = `Run ${short(runId)}: ${NAMES[STATUSES[status]]}`;
      this.#draw();
    }
  }

  /** Those that go on, but the one that is looked at. */
  #watch(): void {
    const going = this.#kept.filter(({ run_id, status }) => {
      return (status === 'ACCEPTED' || status === 'RUNNING') && (run_id !== this.#shown?.runId || this.#shown.status === 'aside');
    });
    this.#watcher.watch(going.map((run) => run.run_id));
  }

  #draw(): void {
    this.#watch();
    const kept = new Map(this.#kept.map((run) => [run.run_id, run]));
    const own = this.#recordings.filter(({ runId }) => runId === undefined || !kept.has(runId));
    const entries = [
      ...own.map((recording) => ({
        at: recording.createdAt,
        element: this.#entry(recording.runId, recording.createdAt, recording.status, this.#isShown(recording), () => this.opening.recorded(recording)),
      })),
      ...this.#kept.map((run) => ({
        at: run.created_at,
        element: this.#entry(run.run_id, run.created_at, STATUSES[run.status] ?? 'idle', run.run_id === this.#shown?.runId, () => this.opening.kept(run.run_id)),
      })),
    ].sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
    // Who is at a run in the list with the keyboard stays there.
    const focused = document.activeElement instanceof HTMLElement && this.#list.contains(document.activeElement) ? document.activeElement.dataset['run'] : undefined;
    this.#list.replaceChildren(...entries.map(({ element }) => element));
    const again = [...this.#list.querySelectorAll('button')].find((one) => focused !== undefined && one.dataset['run'] === focused);
    again?.focus({ preventScroll: true });
    this.#more.hidden = this.#cursor === undefined;
    if (entries.length === 0) {
      this.#list.append(
        h('li', { class: 'empty' }, facts.runs ? 'No runs yet. They can be looked at again here.' : 'The runs of this page can be looked at again here.'),
      );
    }
  }

  /** The same run may be shown again. */
  #isShown(recording: Recording): boolean {
    return recording === this.#shown || (recording.runId !== undefined && recording.runId === this.#shown?.runId);
  }

  #entry(runId: string | undefined, at: string, status: Status, isShown: boolean, open: () => void): HTMLElement {
    const time = new Date(at);
    const isToday = time.toDateString() === new Date().toDateString();
    const input = runId === undefined ? undefined : this.#inputs.get(runId);
    const button = h('button', { type: 'button', class: 'run', 'data-run': runId ?? at, 'aria-current': isShown ? 'true' : null, onclick: open });
    const name = h('span', { class: 'mono faint' }, runId === undefined ? 'without an id' : short(runId));
    add(
      button,
      badge(status),
      input === undefined ? name : h('span', { class: 'given', dir: 'auto' }, input),
      h('time', { datetime: at, class: 'faint' }, isToday ? time.toLocaleTimeString() : time.toLocaleString([], { dateStyle: 'short', timeStyle: 'short' })),
      input === undefined ? null : name,
    );
    return h('li', {}, button);
  }
}

export function badge(status: Status): HTMLElement {
  return h('span', { class: `badge is-${status}` }, NAMES[status]);
}

function short(runId: string): string {
  return runId.slice(0, 13);
}

/** What tells a run from the others: what was said, else the first text of its input, else all of it. */
function inputOf({ said, payload }: Order): string {
  const first = isObject(payload) ? Object.values(payload).find((one) => typeof one === 'string' && one !== '') : undefined;
  return brief(said ?? first ?? payload, 80);
}
