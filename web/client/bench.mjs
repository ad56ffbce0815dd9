// How many events a second the client gives out of bytes that are there already.

import { Client } from 'dockrion-client';

const EVENTS = 200_000;
const RUN_ID = '0b7d6a56-1f0e-4b61-9d0a-2f8a2d6a1c11';

const token = (sequence) => {
  const event = { id: `${RUN_ID}:${sequence}`, type: 'token', run_id: RUN_ID, sequence, timestamp: '2025-01-01T00:00:00.000Z', content: 'word ', finish_reason: null };
  return `event: token\ndata: ${JSON.stringify(event)}\nid: ${event.id}\n\n`;
};
const bytes = new TextEncoder().encode(Array.from({ length: EVENTS }, (_, sequence) => token(sequence)).join(''));

const fetch = async (_, { headers }) => {
  if (headers['Last-Event-ID']) {
    return new Response(null, { status: 204 });
  }
  let start = 0;
  const body = new ReadableStream({
    pull(controller) {
      controller.enqueue(bytes.subarray(start, (start += 65536)));
      if (start >= bytes.length) {
        controller.close();
      }
    },
  });
  return new Response(body, { headers: { 'Content-Type': 'text/event-stream' } });
};

const client = new Client('http://agent', { fetch, reconnect: { firstMs: 0 } });
for (let round = 0; round < 3; round += 1) {
  const started = process.cpuUsage();
  let count = 0;
  for await (const event of client.runs.events(RUN_ID)) {
    count += event.type === 'token' ? 1 : 0;
  }
  const { user, system } = process.cpuUsage(started);
  console.log(`${count} events, ${Math.round((count / (user + system)) * 1e6).toLocaleString('en')} a second of one core`);
}
