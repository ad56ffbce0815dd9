// Talks to a server with `openai` as its users do. Takes `{url, key, cutting, words, strung, ports}` as JSON on standard
// input, prints one JSON object with what came back. `ports` are two puppets' at `strung`: a background run and one that
// is left.

import { text } from 'node:stream/consumers';

import OpenAI from 'openai';

const { url, key, cutting, words, strung, ports } = JSON.parse(await text(process.stdin));
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key });
const say = (content) => ({ model: 'e2e', messages: [{ role: 'user', content }] });

/** Read to the end, or to what goes wrong; return what was seen, and the error's class, code and message. */
async function read(stream) {
  const seen = [];
  try {
    for await (const event of stream) {
      seen.push(event);
    }
  } catch (error) {
    return { seen, error: [error.constructor.name, error.code ?? null, error.message] };
  }
  return { seen, error: null };
}

async function failed(promise) {
  return (await read((async function* () { yield await promise; })())).error;
}

const reply = await client.chat.completions.create(say('one two'));
const chunks = await read(await client.chat.completions.create({ ...say('one two'), stream: true }));
const raised = await read(await client.chat.completions.create({ ...say('fail'), stream: true }));
const accumulated = client.chat.completions.stream(say('one two'));
const streamed = await read(await client.responses.create({ model: 'e2e', input: 'one two', stream: true }));
const response = await client.responses.create({ model: 'e2e', input: 'tool' });

const cut = new OpenAI({ baseURL: `${cutting}/v1`, apiKey: key, maxRetries: 0 });
const before = await read(await cut.responses.create({ model: 'e2e', input: words, stream: true }));
const after = await read(
  await client.responses.retrieve(before.seen[0].response.id, {
    stream: true,
    starting_after: before.seen.at(-1).sequence_number,
  }),
);

const lost = await read(await cut.chat.completions.create({ ...say(words), stream: true }));
const long = { ...say('one two three'), stream: true };
const wholeText = await (await client.chat.completions.create(long).asResponse()).text();
const [cursor] = wholeText.match(/(?<=^id: ).*$/gm).slice(1);
const again = { headers: { 'Last-Event-ID': cursor } };
const restText = await (await client.chat.completions.create(long, again).asResponse()).text();

const counted = await client.chat.completions.create(say('count'));
const counts = await read(
  await client.chat.completions.create({ ...say('count'), stream: true, stream_options: { include_usage: true } }),
);
const asked = await client.chat.completions.create(say('ask'));
const askedResponse = await client.responses.create({ model: 'e2e', input: 'ask' });
const first = await client.responses.create({ model: 'e2e', input: 'thread' });
const second = await client.responses.create({ model: 'e2e', input: 'thread', previous_response_id: first.id });

const puppets = new OpenAI({ baseURL: `${strung}/v1`, apiKey: 'none' });
const background = await puppets.responses.create({ model: 'e2e', input: ports[0], background: true });
const following = await puppets.responses.retrieve(background.id, { stream: true });
const began = (await following[Symbol.asyncIterator]().next()).value.type;
const cancelled = await puppets.responses.cancel(background.id);
const ended = await puppets.responses.retrieve(background.id);

const left = await puppets.chat.completions.create({ ...say(ports[1]), stream: true });
const seenOfLeft = [];
for await (const chunk of left) {
  seenOfLeft.push(chunk.choices[0].delta.role);
  left.controller.abort();
}

process.stdout.write(
  JSON.stringify({
    models: (await client.models.list()).data.map((model) => model.id),
    reply: reply.choices[0].message.content,
    pieces: chunks.seen.map((chunk) => chunk.choices[0].delta.content ?? null),
    accumulated: await accumulated.finalContent(),
    raised: { pieces: raised.seen.map((chunk) => chunk.choices[0].delta.content), error: raised.error },
    failed: await failed(client.chat.completions.create(say('fail'))),
    refused: await failed(client.chat.completions.create({ model: 'e2e', messages: [] })),
    unknown: await failed(new OpenAI({ baseURL: `${url}/v1`, apiKey: 'wrong' }).models.list()),
    types: streamed.seen.map((event) => event.type),
    text: response.output_text,
    items: response.output.map((item) => item.type),
    lost: [lost.error !== null, lost.seen.map((chunk) => chunk.choices[0].delta.content).join('')],
    again: [wholeText.endsWith(restText), restText.includes('"two "'), restText.includes('"one "')],
    usage: [counted.usage, counts.seen.at(-1).usage],
    questions: [asked.choices[0].message.content, asked.choices[0].finish_reason, askedResponse.output_text],
    thread: first.output_text === second.output_text,
    background: [background.status, began, cancelled.status, ended.status],
    left: seenOfLeft,
    cut: {
      error: before.error !== null,
      numbers: [...before.seen, ...after.seen].map((event) => event.sequence_number),
      text: after.seen.at(-1).response.output.map((item) => item.content[0].text).join(''),
    },
  }),
);
