// The part that all clients share: jobs come as JSON on standard input, events leave as JSON lines.
//
// A job is `{url, body}` and stands for one POST. Each event is printed as `{job, event, data, id}`, `job` being
// the place of its job in the list. Any failure ends the process with code 1.

import { text } from 'node:stream/consumers';

const CONCURRENCY = 8;

/** Run `read(url, request, onEvent)` for every job, a few at a time. */
export async function runJobs(read) {
  const jobs = JSON.parse(await text(process.stdin));
  const queue = jobs.entries();
  const worker = async () => {
    for (const [job, { url, body }] of queue) {
      const request = {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      };
      await read(url, request, ({ event, data, id }) => print({ job, event, data, id: id ?? null }));
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
}

function print(line) {
  process.stdout.write(JSON.stringify(line) + '\n');
}
