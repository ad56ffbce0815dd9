// Talks to a server with the client of `@a2a-js/sdk` as its users do. Takes `{url, key, cutting}` as JSON on
// standard input, prints one JSON object with what came back.

import { text } from 'node:stream/consumers';

import {
  ClientFactory,
  ClientFactoryOptions,
  DefaultAgentCardResolver,
  JsonRpcTransportFactory,
} from '@a2a-js/sdk/client';

const { url, key, cutting } = JSON.parse(await text(process.stdin));
const USER = 1;

/** A `fetch` that says who calls, and adds what the test adds. */
function fetching(headers) {
  return (input, init) => fetch(input, { ...init, headers: { ...init?.headers, ...headers } });
}

async function clientOf(base, { headers = { Authorization: `Bearer ${key}` }, legacy = false } = {}) {
  const fetchImpl = fetching(headers);
  const compat = { legacyCompat: { enabled: legacy } };
  const options = ClientFactoryOptions.createFrom(ClientFactoryOptions.default, {
    transports: [new JsonRpcTransportFactory({ fetchImpl, ...compat })],
    cardResolver: new DefaultAgentCardResolver({ fetchImpl, ...compat }),
  });
  const factory = new ClientFactory(options);
  if (!legacy && base === url) {
    return factory.createFromUrl(base);
  }
  const card = await new DefaultAgentCardResolver({ fetchImpl }).resolve(url);
  const [now, before] = card.supportedInterfaces;
  const chosen = { ...(legacy ? before : now), url: `${base}/a2a` };
  return factory.createFromAgentCard({ ...card, supportedInterfaces: [chosen] });
}

function message(said, more = {}) {
  return {
    message: {
      messageId: crypto.randomUUID(),
      role: USER,
      parts: [{ content: { $case: 'text', value: said }, metadata: undefined, filename: '', mediaType: '' }],
      contextId: '',
      taskId: '',
      extensions: [],
      referenceTaskIds: [],
      metadata: undefined,
      ...more,
    },
    configuration: undefined,
    metadata: undefined,
    tenant: '',
  };
}

/** Follow a stream; return the kinds of its events, the joined text of each artifact, the states, and an error. */
async function follow(stream, onEvent) {
  const seen = { kinds: [], states: [], texts: {}, error: null, task: null };
  try {
    for await (const { payload } of stream) {
      const { $case: kind, value } = payload;
      seen.kinds.push(kind);
      if (kind === 'task') {
        seen.task = value.id;
        for (const artifact of value.artifacts) {
          seen.texts[artifact.artifactId] = textOf(artifact);
        }
      }
      if (kind === 'artifactUpdate') {
        const { artifact, append } = value;
        const before = append ? seen.texts[artifact.artifactId] : '';
        seen.texts[artifact.artifactId] = before + textOf(artifact);
      } else {
        seen.states.push(value.status.state);
      }
      await onEvent?.(kind, value);
    }
  } catch (error) {
    seen.error = [error.name, error.message];
  }
  return seen;
}

function textOf(artifact) {
  return artifact.parts.map((part) => (part.content.$case === 'text' ? part.content.value : '')).join('');
}

async function tried(call) {
  try {
    const task = await call;
    const texts = Object.fromEntries(task.artifacts.map((one) => [one.artifactId, textOf(one)]));
    return { state: task.status.state, texts, task: task.id };
  } catch (error) {
    return { error: [error.name, error.message], code: error.envelopeCode ?? null };
  }
}

async function talk(legacy) {
  const client = await clientOf(url, { legacy });
  const said = await follow(client.sendMessageStream(message('one two')));
  const asked = await follow(client.sendMessageStream(message('ask')));
  const slow = await follow(client.sendMessageStream(message('wait')), async (kind, value) => {
    if (kind === 'artifactUpdate' && !value.append) {
      await client.cancelTask({ tenant: '', id: value.taskId, metadata: undefined });
    }
  });
  const gate = `gated ${legacy}`;
  const cut = await follow((await clientOf(cutting, { legacy })).sendMessageStream(message(gate)));
  const resubscribed = await follow(client.resubscribeTask({ tenant: '', id: cut.task }), async (kind) => {
    if (kind === 'task') {
      await client.sendMessage(message(`open ${legacy}`));
    }
  });
  return {
    said,
    sent: await tried(client.sendMessage(message('one two'))),
    failed: await tried(client.sendMessage(message('fail'))),
    got: await tried(client.getTask({ tenant: '', id: said.task })),
    asked,
    waits: await tried(client.getTask({ tenant: '', id: asked.task })),
    answered: await follow(client.sendMessageStream(message('yes', { taskId: asked.task }))),
    cancelled: slow,
    late: await tried(client.cancelTask({ tenant: '', id: said.task, metadata: undefined })),
    unknown: await tried(client.getTask({ tenant: '', id: 'unknown' })),
    cut,
    resubscribed,
    rest: await tried(client.getTask({ tenant: '', id: cut.task })),
  };
}

const lister = await clientOf(url);
const one = await tried(lister.sendMessage(message('one', { contextId: 'of npm' })));
const listed = await lister.listTasks({ tenant: '', contextId: 'of npm', status: 0, pageToken: '' });
const stranger = await clientOf(url, { headers: {} });
process.stdout.write(
  JSON.stringify({
    now: await talk(false),
    before: await talk(true),
    listed: [one.task, listed.tasks.map(({ id }) => id)],
    refused: await tried(stranger.sendMessage(message('hi'))),
    refusedStream: await follow(stranger.sendMessageStream(message('hi'))),
  }),
);
