// A recorded stream with everything that trips parsers, and servers that play it back.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

export const STREAM = readFileSync(new URL('recorded.sse', import.meta.url));

// Read in the plainest way there is, for this stream alone: whole, its frames as our server writes them.
const TEXTS = STREAM.toString('utf8').replaceAll(':hb\n', '').split('\n\n').slice(0, -1);
export const FRAMES = TEXTS.map((text) => {
  const [, event, data, , id] = /^event: ([^\n]*)\ndata: ([^\n]*)(\nid: ([^\n]*))?$/.exec(text);
  return { event, data, id };
});

/** What a client gives out: heartbeats belong to a connection, and are no part of the run. */
export const EVENTS = FRAMES.filter((frame) => frame.event !== 'heartbeat').map((frame) => JSON.parse(frame.data));
export const RUN_ID = EVENTS[0].run_id;

/** The bytes of the stream behind an event. */
export function rest(lastEventId) {
  const mark = Buffer.from(`id: ${lastEventId}\n\n`);
  return STREAM.subarray(STREAM.indexOf(mark) + mark.length);
}

/** Serve with `answer(request, response)`; give the URL, the requests that came, and how to stop. */
export async function serve(answer) {
  const requests = [];
  const server = createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      const { method, url, headers } = request;
      const body = Buffer.concat(parts).toString();
      const seen = { method, url, headers, body };
      requests.push(seen);
      answer(seen, response, requests.length);
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = () =>
    new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${server.address().port}`, requests, stop };
}

export function startStream(response, headers = {}) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'X-Run-ID': RUN_ID, ...headers });
  response.flushHeaders();
}

/** Send these bytes, and then nothing but a broken connection. */
export function cut(response, bytes) {
  startStream(response);
  if (bytes.length === 0) {
    setImmediate(() => response.destroy());
  } else {
    response.write(bytes, () => response.destroy());
  }
}

export function sendJson(response, status, body, headers = {}) {
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

export function refusal(code, error = 'No.') {
  return { success: false, error, code, details: null };
}

export function frame(event) {
  const id = event.sequence === undefined ? '' : `id: ${event.id}\n`;
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n${id}\n`;
}

export function eventOf(type, sequence, fields = {}) {
  const place = sequence === null ? {} : { id: `${RUN_ID}:${sequence}`, sequence };
  return { ...place, type, run_id: RUN_ID, timestamp: '2025-01-01T00:00:00Z', ...fields };
}

export async function all(stream) {
  const events = [];
  for await (const event of stream) {
    events.push(event);
  }
  return events;
}
