// The playground: puts its parts together, and tells each what happens.

import './style.css';
import './result.css';
import './views.css';

import { AuthError, type DockrionError } from 'dockrion-client';

import { AnswerView } from './answer.js';
import { CodeView } from './code.js';
import { Composer } from './composer.js';
import { CredentialsView } from './credentials.js';
import { h, tabs } from './dom.js';
import { EventsView } from './events.js';
import { client, credentials, describe, facts, isReady } from './facts.js';
import { badge, HistoryView } from './history.js';
import { PulseView } from './pulse.js';
import { type Moment, type Recording, Session } from './session.js';
import { replyOf } from './talk.js';
import { duration, TimelineView } from './timeline.js';
import { themeButton } from './theme.js';

const session: Session = new Session(client, { began, happened, changed });
const answer = new AnswerView(session, replyOf, keepingSight);
const timeline = new TimelineView();
const events = new EventsView();
const pulse = new PulseView();
const code = new CodeView();
const composer = new Composer({
  run: () => void run(),
  changed: () => {
    code.show(composer.payload(), composer.way);
    document.querySelector('#page')?.classList.toggle('is-chat', composer.isChat);
  },
  forget: () => {
    session.leave();
    answer.clear();
  },
});
const history = new HistoryView(client, {
  recorded: (recording) => void session.show(recording, 'at once'),
  kept: (runId) => void session.open(runId),
});
const who = facts.auth === null ? undefined : new CredentialsView(() => void known());
const narrow = window.matchMedia('(max-width: 900px)');
// What the agent takes, as it was told last.
let described: string | undefined;
const READY_MS = 1000;
// A browser scrolls by whole pixels only.
const NEAR_PIXELS = 4;
// A run that waits for its key.
let isAskedFor = false;

const statusBadge = h('span', { class: 'status-badge' });
const note = h('span', { class: 'note-line' });
// Told to those who look, and not every second to those who listen.
const elapsed = h('span', { class: 'note-line elapsed' });
const runName = h('span', { class: 'mono faint run-name' });
const stop = h('button', { type: 'button', class: 'stop', hidden: true, onclick: () => void stopRun() }, 'Stop');
const aside = h('button', { type: 'button', class: 'quiet', hidden: true, title: 'It goes on, and stays in the list of runs.', onclick: () => session.putAside() }, 'Leave it running');
const replay = h('button', { type: 'button', class: 'quiet', hidden: true, onclick: () => void session.show(session.recording, 'as it was') }, 'Replay');
const result = h('section', { class: 'card result', 'aria-label': 'Result' });
const panels = tabs(
  'What came back',
  [
    { key: 'answer', title: 'Answer', panel: answer.element },
    { key: 'timeline', title: 'Timeline', panel: timeline.element },
    { key: 'events', title: 'Events', panel: events.element },
    { key: 'code', title: 'Code', panel: code.element },
  ],
  // What was not seen was not drawn.
  (key) => key === 'events' && events.happened(),
);

function build(): void {
  document.querySelector('#tools')?.append(...(who === undefined ? [] : [who.button]), themeButton());
  const side = h('div', { class: 'side' }, h('section', { class: 'card input', 'aria-label': 'Input' }, composer.element), history.element);
  document.querySelector('#page')?.replaceChildren(side, result);
  keepBeside(side);
  result.append(
    h('h2', { class: 'unseen' }, 'Result'),
    h('div', { class: 'status' }, h('div', { role: 'status', class: 'row' }, statusBadge, note), elapsed, runName, replay, aside, stop),
    pulse.element,
    panels.bar,
    answer.element,
    timeline.element,
    events.element,
    code.element,
  );
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && session.isBusy && document.querySelector('dialog[open]') === null) {
      void stopRun();
    }
  });
  setInterval(showElapsed, 1000);
  showStatus(session.recording, '');
  void tellReadiness();
}

/** What is higher than the window stays with its end in it, while the page moves along a long answer. */
function keepBeside(side: HTMLElement): void {
  new ResizeObserver(() => {
    side.style.top = `min(16px, 100vh - ${side.offsetHeight + 16}px)`;
  }).observe(side);
}

/** Say whether the agent is there, as long as nothing else is to be said; ask again until it is. */
async function tellReadiness(): Promise<void> {
  const ready = await isReady();
  if (session.recording.status === 'idle') {
    statusBadge.replaceChildren(h('span', { class: `badge ${ready.isThere ? 'is-complete' : 'is-waiting'}` }, ready.isThere ? 'Ready' : 'Not ready'));
    note.textContent = ready.why;
    ready.isThere || setTimeout(() => void tellReadiness(), READY_MS);
  }
}

/** Ask the server what it takes, and, when the address names a run, show that. */
async function begin(): Promise<void> {
  try {
    const told = await describe();
    // Made anew, the fields would lose what was written into them.
    if (JSON.stringify(told) !== described) {
      described = JSON.stringify(told);
      composer.describe(told);
    }
  } catch (error) {
    described = undefined;
    composer.describe(undefined);
    if (error instanceof AuthError) {
      credentials.isSet
        ? who?.ask('This is not accepted.', true)
        : who?.ask('This agent tells what it takes only to callers it knows.');
      return;
    }
  }
  composer.focus();
  if (facts.auth === null || credentials.isSet) {
    await history.refresh();
    const named = new URLSearchParams(location.hash.slice(1)).get('run');
    if (named !== null && facts.runs && session.recording.status === 'idle') {
      await session.open(named);
    }
  }
}

/** Go on with what the reader wanted when the key was missing. */
async function known(): Promise<void> {
  const isWanted = isAskedFor && credentials.isSet;
  const before = described;
  isAskedFor = false;
  await begin();
  await comeBack();
  // Fields that have only come now are empty.
  if (isWanted && described !== undefined && described === before) {
    await run();
  }
}

/** A run that was followed until its reader was not known any more is followed again. */
async function comeBack(): Promise<void> {
  const { error, runId, moments } = session.recording;
  if (error instanceof AuthError && facts.runs && credentials.isSet && runId !== undefined && moments.length > 0) {
    await session.open(runId);
  }
}

async function run(): Promise<void> {
  if (session.isBusy || !composer.canRun) {
    return;
  }
  if (facts.auth !== null && !credentials.isSet) {
    isAskedFor = true;
    who?.ask('Running the agent needs it.', false, () => (isAskedFor = false));
    return;
  }
  const order = composer.order();
  if (order !== undefined) {
    panels.current() === 'code' && panels.show('answer');
    composer.sent(order);
    await session.start(order);
  }
}

async function stopRun(): Promise<void> {
  try {
    await session.stop();
  } catch (error) {
    note.textContent = error instanceof Error ? error.message : String(error);
  }
}

function began(recording: Recording): void {
  answer.begin(recording);
  timeline.begin();
  events.begin(recording.moments);
  pulse.begin();
  // Beside a long form, or on a narrow screen, the answer would come out of sight.
  const { top } = result.getBoundingClientRect();
  if (recording.order?.said !== undefined) {
    window.scrollBy(0, Math.max(0, endOfResult()));
  } else if (top < 0 || top > window.innerHeight * 0.8) {
    result.scrollIntoView({ block: 'start' });
  }
}

function happened(moments: Moment[]): void {
  keepingSight(() => {
    answer.happened(moments);
    timeline.happened(moments);
    events.happened();
    pulse.happened(moments);
  });
}

/** Who reads the end goes on reading the end. */
function keepingSight(write: () => void): void {
  const wasInSight = endOfResult() <= NEAR_PIXELS;
  write();
  if (wasInSight && endOfResult() > 0) {
    window.scrollBy(0, endOfResult());
  }
}

/** How far the end of the result lies below what is seen: the window's end, or what one writes in the next message. */
function endOfResult(): number {
  const { bottom } = result.getBoundingClientRect();
  const isBelow = composer.isChat && narrow.matches;
  const edge = isBelow ? Math.min(window.innerHeight, composer.element.getBoundingClientRect().top) : window.innerHeight;
  return bottom + 16 - edge;
}

function changed(recording: Recording, text: string): void {
  const { status, runId, order, error } = recording;
  showStatus(recording, text);
  keepingSight(() => answer.changed(status, recording));
  history.show(recording);
  if (session.isBusy) {
    if (runId !== undefined && order?.way !== 'stream') {
      nameRun(runId);
    }
    return;
  }
  timeline.settle();
  pulse.settle();
  composer.answered(order, answer.said);
  if (order !== undefined && error !== undefined && recording.moments.length === 0) {
    composer.unsaid(order);
  }
  // What was refused is no run.
  if (!session.isReplay && (runId !== undefined || recording.moments.length > 0)) {
    history.keep(recording);
  }
  if (error !== undefined) {
    refused(error);
  } else {
    void history.refresh();
  }
}

function refused(error: DockrionError): void {
  if (error instanceof AuthError && error.status === 401) {
    who?.ask(error.message, true);
  } else if (error.code === 'VALIDATION_ERROR') {
    composer.refuse(error);
  }
}

function nameRun(runId: string): void {
  const url = `#run=${encodeURIComponent(runId)}`;
  if (location.hash !== url) {
    window.history.replaceState(null, '', url);
  }
}

function showStatus(recording: Recording, text: string): void {
  const { status, runId, moments } = recording;
  const { isBusy } = session;
  statusBadge.replaceChildren(status === 'idle' ? '' : badge(status));
  const last = moments.at(-1);
  showElapsed();
  note.textContent = text || (isBusy || last === undefined ? '' : `after ${duration(last.at)}, ${moments.length.toLocaleString('en')} events`);
  runName.textContent = runName.title = runId ?? '';
  const focused = document.activeElement;
  stop.hidden = !isBusy;
  aside.hidden = !session.canBeLeft;
  replay.hidden = isBusy || moments.length === 0;
  composer.busy(isBusy);
  // A button that goes takes nobody's place along.
  if (focused instanceof HTMLButtonElement && [stop, aside, replay].includes(focused) && focused.hidden) {
    const other = [stop, replay].find((one) => !one.hidden);
    other === undefined ? composer.focusRun() : other.focus({ preventScroll: true });
  }
}

function showElapsed(): void {
  const ms = Date.now() - Date.parse(session.recording.createdAt);
  const isGoingOn = session.isBusy && !session.isReplay && ms >= 1000;
  elapsed.textContent = isGoingOn ? duration(Math.floor(ms / 1000) * 1000).replace('.00', '') : '';
}

build();
void begin();
