// Runs code in a page of Chromium. Takes `{chromium, url, code, globals}` as JSON on standard input: the page, the body of an async
// function that has `show`, `done` and the globals, and prints what `show` was given until a socket closed, as a JSON list.

import { text } from 'node:stream/consumers';

import { chromium } from 'playwright-core';

const { chromium: executablePath, url, code, globals } = JSON.parse(await text(process.stdin));
const browser = await chromium.launch({
  executablePath,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(20_000);
  await page.goto(url);
  const shown = await page.evaluate(
    ({ code, globals }) => new Promise((resolve, reject) => {
      const shown = [];
      const Native = window.WebSocket;
      window.WebSocket = class extends Native {
        constructor(...args) {
          super(...args);
          this.addEventListener('close', ({ code }) => resolve([...shown, code]));
        }
      };
      const AsyncFunction = (async () => {}).constructor;
      new AsyncFunction('show', ...Object.keys(globals), code)((one) => shown.push(one), ...Object.values(globals)).catch(reject);
    }),
    { code, globals },
  );
  console.log(JSON.stringify(shown));
} finally {
  await browser.close();
}
