// Talks to a server with `HttpAgent` of `@ag-ui/client` as its users do. Takes `{url, key, cutting, strung, port}` as JSON
// on standard input, prints one JSON object with what came back.

import { text } from 'node:stream/consumers';

import { HttpAgent } from '@ag-ui/client';

const { url, key, cutting, strung, port } = JSON.parse(await text(process.stdin));

// The client throws a cut connection twice: to whoever has called it, and where nobody can catch it.
process.on('uncaughtException', (error) => {
  if (error.message !== 'terminated') {
    throw error;
  }
});

function agentOf(base, said) {
  return new HttpAgent({
    url: `${base}/ag-ui`,
    headers: { Authorization: `Bearer ${key}` },
    threadId: 'thread of the test',
    initialMessages: [{ id: '1', role: 'user', content: said }],
  });
}

/** Run an agent; return the types of its events, how it ended, and what it added to the conversation. */
async function run(agent, parameters, onEvent) {
  const types = [];
  let end = null;
  let usage = null;
  let error = null;
  let added = [];
  try {
    const result = await agent.runAgent(parameters, {
      onEvent({ event }) {
        types.push(event.type);
        onEvent?.(event);
      },
      onRunFinishedEvent({ event }) {
        end = event.outcome;
        usage = event.usage ?? null;
      },
      onRunErrorEvent({ event }) {
        error = [event.code, event.message];
      },
    });
    added = result.newMessages.map(({ role, content, toolCalls }) => ({
      role,
      content: content ?? null,
      tools: toolCalls?.map((call) => [call.function.name, call.function.arguments]) ?? [],
    }));
  } catch (thrown) {
    error = [thrown.name, thrown.message];
  }
  return { types, end, usage, error, added };
}

const said = await run(agentOf(url, 'one two'));
const tool = await run(agentOf(url, 'tool'));
const failed = await run(agentOf(url, 'fail'));
const stranger = new HttpAgent({ url: `${url}/ag-ui`, initialMessages: [{ id: '1', role: 'user', content: 'x' }] });
const refused = await run(stranger);
const cut = await run(agentOf(cutting, 'one two three four five six seven eight nine ten'));

const asks = agentOf(url, 'ask');
const asked = await run(asks);
const resume = asks.pendingInterrupts.map(({ id }) => ({ interruptId: id, status: 'resolved', payload: 'yes' }));
const answered = await run(asks, { resume });

const counted = await run(agentOf(url, 'count'));

const unsaid = agentOf(url, 'ask');
await run(unsaid);
const cancel = unsaid.pendingInterrupts.map(({ id }) => ({ interruptId: id, status: 'cancelled' }));
const givenUp = await run(unsaid, { resume: cancel });

const left = agentOf(strung, port);
const leaving = run(left, {}, ({ type }) => {
  if (type === 'RUN_STARTED') {
    left.abortRun();
  }
});

process.stdout.write(
  JSON.stringify({ said, tool, failed, refused, cut, asked, answered, counted, givenUp, left: await leaving }),
);
