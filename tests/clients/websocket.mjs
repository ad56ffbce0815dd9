// Talks to `/invoke/ws` with `ws`, as a Node.js program does. Takes `{url, key}` as JSON on standard input, prints one JSON object
// with what came back.

import { text } from 'node:stream/consumers';

import WebSocket from 'ws';

const { url, key } = JSON.parse(await text(process.stdin));
const RUNS = 200;

/** Open a connection; `next` gives its messages one after the other, `closed` how it ended. */
async function open(options) {
  const socket = new WebSocket(`${url}/invoke/ws`, options);
  const messages = [];
  const waiting = [];
  socket.on('message', (data, isBinary) => {
    const message = isBinary ? { type: 'binary' } : JSON.parse(data.toString());
    const next = waiting.shift();
    if (next) {
      next(message);
    } else {
      messages.push(message);
    }
  });
  const closed = new Promise((resolve) => {
    socket.on('close', (code, reason) => resolve([code, reason.toString()]));
  });
  await new Promise((resolve, reject) => {
    socket.on('open', resolve);
    socket.on('error', reject);
    socket.on('unexpected-response', async (request, response) => {
      reject(new Error(`${response.statusCode} ${await text(response)}`));
    });
  });
  return {
    socket,
    closed,
    say: (type, fields) => socket.send(JSON.stringify({ type, ...fields })),
    next: () => new Promise((resolve) => {
      if (messages.length > 0) {
        resolve(messages.shift());
      } else {
        waiting.push(resolve);
      }
    }),
  };
}

async function until(connection, ...types) {
  const seen = [];
  while (!types.includes(seen.at(-1)?.type)) {
    seen.push(await connection.next());
  }
  return seen;
}

const withKey = { headers: { 'X-API-Key': key } };
const result = {};

const one = await open(withKey);
one.say('run', { id: 'a', payload: { text: 'one two' } });
result.said = await until(one, 'complete');

one.say('run', { id: 'b', payload: { text: 'ask' } });
const asked = await until(one, 'interrupt');
one.say('answer', { id: 'c', run_id: asked[0].run_id, answer: 'yes' });
result.answered = await until(one, 'complete');

one.say('run', { payload: { text: 'wait' } });
const started = await until(one, 'token');
one.say('cancel', { run_id: started[0].run_id, reason: 'enough' });
result.cancelled = (await until(one, 'cancelled')).at(-1);

for (let number = 0; number < RUNS; number += 1) {
  one.say('run', { id: String(number), payload: { text: `run ${number}` } });
}
const names = {};
const outputs = {};
while (Object.keys(outputs).length < RUNS) {
  const message = await one.next();
  if (message.type === 'accepted') {
    names[message.run_id] = message.id;
  } else if (message.type === 'complete') {
    outputs[names[message.run_id]] = message.output.content;
  }
}
result.many = Object.entries(outputs).every(([number, output]) => output === `run ${number} `);

one.socket.ping('are you there?');
result.pong = await new Promise((resolve) => one.socket.on('pong', (data) => resolve(data.toString())));
one.socket.send(Buffer.from('binary'));
result.binary = await one.closed;

result.refused = await open({ headers: { 'X-API-Key': 'wrong' } }).catch((error) => error.message);

const stranger = await open();
stranger.say('authenticate', { api_key: 'wrong' });
result.stranger = [await stranger.next(), await stranger.closed];

const cut = await open(withKey);
cut.say('run', { payload: { text: 'slow' } });
const before = await until(cut, 'token');
cut.socket.terminate();
const back = await open();
back.say('authenticate', { token: key });
back.say('follow', { run_id: before[0].run_id, after: before.at(-1).sequence });
const after = await until(back, 'complete');
result.cut = [...before, ...after].filter((message) => 'sequence' in message).map((message) => message.sequence);
back.socket.close(1000);
result.closed = await back.closed;

console.log(JSON.stringify(result));
process.exit(0);
