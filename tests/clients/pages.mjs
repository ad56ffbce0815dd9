// Looks at pages in Chromium: jobs come as JSON on standard input, what was seen leaves as JSON lines, in their order.
//
// The input is `{chromium, pages}`: the program, and for each page `{url, clicks, until}`: what to click, one after the
// other, and the element to wait for then. A line is `{text, requests, blocked, problems}`: the text that is shown, the
// URLs that the page asked for, those that its Content-Security-Policy did not let it ask for, and what went wrong.

import { text } from 'node:stream/consumers';

import { chromium } from 'playwright-core';

const { chromium: executablePath, pages } = JSON.parse(await text(process.stdin));
const browser = await chromium.launch({
  executablePath,
  args: [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    // Chromium has things to ask of its maker whatever the flags above say; so no name has an address.
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
  ],
});
try {
  for (const page of pages) {
    process.stdout.write(JSON.stringify(await look(page)) + '\n');
  }
} finally {
  await browser.close();
}

async function look({ url, clicks, until }) {
  const page = await browser.newPage();
  page.setDefaultTimeout(20_000);
  const requests = new Set();
  const blocked = [];
  const problems = [];
  page.on('request', (request) => requests.add(request.url()));
  page.on('requestfailed', (request) => {
    const why = request.failure()?.errorText;
    if (why === 'csp') {
      requests.delete(request.url());
      blocked.push(request.url());
    } else {
      problems.push(`${request.url()}: ${why}`);
    }
  });
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) {
      problems.push(message.text());
    }
  });
  await page.goto(url);
  for (const selector of clicks) {
    await page.locator(selector).first().click();
  }
  await page.locator(until).first().waitFor();
  const seen = { text: await page.locator('body').innerText(), requests: [...requests], blocked, problems };
  await page.close();
  return seen;
}
