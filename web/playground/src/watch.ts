// What becomes of runs that go on while another is looked at.
//
// The browser's own `EventSource` does for that what it was made for: it costs the page next to nothing, and comes back by
// itself. With credentials the first connection has a ticket in its URL, the later ones the cookie that it left. The run
// that is looked at is read with `fetch` all the same: an `EventSource` hears no event whose name it was not told, so no
// custom one, and never says why it was refused.

import type { Client, RunStatus } from 'dockrion-client';

// A browser has six connections to a server, for all of its tabs: the one that was looked at last watches.
const MAX_WATCHED = 2;
const CHANNEL = 'dockrion-watching';
// What was kept comes at once, and only what it comes to matters.
const TELL_MS = 100;
const MEANINGS: Record<string, RunStatus> = {
  started: 'RUNNING',
  token: 'RUNNING',
  step: 'RUNNING',
  progress: 'RUNNING',
  tool_call: 'RUNNING',
  tool_result: 'RUNNING',
  interrupt: 'INTERRUPTED',
  complete: 'COMPLETED',
  error: 'FAILED',
  cancelled: 'CANCELLED',
};

interface Watched {
  source: EventSource | undefined;
  status: RunStatus | undefined;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export class RunWatcher {
  readonly #watched = new Map<string, Watched>();
  // Those that could not be watched are not tried again until somebody asks anew.
  readonly #refused = new Set<string>();
  readonly #tabs = new BroadcastChannel(CHANNEL);
  #isOurs = true;

  constructor(
    private readonly connect: () => Client,
    private readonly told: (runId: string, status: RunStatus) => void,
  ) {
    this.#tabs.addEventListener('message', () => {
      this.#isOurs = false;
      this.watch([]);
    });
    this.claim();
  }

  /** Watch from here, and no longer from another tab. */
  claim(): void {
    this.#isOurs = true;
    this.#refused.clear();
    this.#tabs.postMessage('here');
  }

  /** Watch the first of these, and no others; a page that nobody sees leaves the connections to those that are seen. */
  watch(runIds: string[]): void {
    const wanted = document.hidden || !this.#isOurs ? [] : runIds.filter((one) => !this.#refused.has(one)).slice(0, MAX_WATCHED);
    for (const runId of this.#watched.keys()) {
      if (!wanted.includes(runId)) {
        this.#leave(runId);
      }
    }
    for (const runId of wanted) {
      if (!this.#watched.has(runId)) {
        const watched: Watched = { source: undefined, status: undefined, timer: undefined };
        this.#watched.set(runId, watched);
        void this.#open(runId, watched);
      }
    }
  }

  async #open(runId: string, watched: Watched): Promise<void> {
    let url: string;
    try {
      url = await this.connect().runs.eventSourceUrl(runId);
    } catch {
      // Some servers have no tickets; the list is right again when it is fetched again.
      this.#refuse(runId, watched);
      return;
    }
    if (this.#watched.get(runId) !== watched) {
      return;
    }
    const source = new EventSource(url);
    watched.source = source;
    for (const [type, status] of Object.entries(MEANINGS)) {
      source.addEventListener(type, (event) => {
        // A connection that breaks is an `error`, too.
        if ('data' in event) {
          this.#tell(runId, watched, status);
        } else if (source.readyState === EventSource.CLOSED) {
          this.#refuse(runId, watched);
        }
      });
    }
  }

  #tell(runId: string, watched: Watched, status: RunStatus): void {
    if (watched.status === status) {
      return;
    }
    watched.status = status;
    watched.timer ??= setTimeout(() => {
      watched.timer = undefined;
      if (watched.status !== undefined && this.#watched.get(runId) === watched) {
        this.told(runId, watched.status);
      }
    }, TELL_MS);
  }

  #refuse(runId: string, watched: Watched): void {
    if (this.#watched.get(runId) === watched) {
      this.#refused.add(runId);
      this.#leave(runId);
    }
  }

  #leave(runId: string): void {
    const watched = this.#watched.get(runId);
    watched?.source?.close();
    clearTimeout(watched?.timer);
    this.#watched.delete(runId);
  }
}
