// Reads one stream with the EventSource of Chromium, which opens it again by itself until it is told not to.
//
// The input is `{chromium, origin, path, types}`: the program, where to read what, and the types of events to listen
// for. The output is `{events, opens}`: `[type, id]` of each event, and how often the connection was opened.

import { text } from 'node:stream/consumers';

import { chromium } from 'playwright-core';

const { chromium: executablePath, origin, path, types } = JSON.parse(await text(process.stdin));
const browser = await chromium.launch({
  executablePath,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
});
try {
  const page = await browser.newPage();
  await page.goto(`${origin}/health`);
  const seen = await page.evaluate(read, { path, types });
  process.stdout.write(JSON.stringify(seen));
} finally {
  await browser.close();
}

function read({ path, types }) {
  return new Promise((resolve) => {
    const events = [];
    let opens = 0;
    const source = new EventSource(path);
    source.onopen = () => (opens += 1);
    for (const type of types) {
      source.addEventListener(type, (event) => events.push([type, event.lastEventId]));
    }
    // A connection that ends is an error too; what is closed is not opened again.
    source.onerror = () => source.readyState === EventSource.CLOSED && resolve({ events, opens });
  });
}
