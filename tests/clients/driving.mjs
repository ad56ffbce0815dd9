// Drives a page of Chromium step by step: each line on standard input is a step, each line on standard output its answer.
//
// The first line is `{chromium}`, the program. A step is `{do, ...}`, with a name of `STEPS`; its answer is `{is}` with
// what it gives, or `{failed}`.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

import { chromium } from 'playwright-core';

const TIMEOUT_MS = 20_000;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { chromium: executablePath } = JSON.parse((await lines.next()).value);
const browser = await chromium.launch({
  executablePath,
  args: [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--no-first-run',
    '--disable-background-networking',
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
  ],
});
let context;
let page;
let requests;
let problems;

const STEPS = {
  /** Open a URL in a fresh profile. */
  async open({ url, width = 1280, height = 900, scheme = 'light', forced = false }) {
    await context?.close();
    context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, forcedColors: forced ? 'active' : 'none' });
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    requests = [];
    problems = [];
    await openTab(url);
  },
  /** Open a URL in another tab of the same profile, and go on there. */
  another: ({ url }) => openTab(url),
  /** Go on in the tab with this number. */
  async turn({ to }) {
    page = context.pages()[to];
    await page.bringToFront();
    // No window of a browser without a screen has the focus.
    await page.evaluate('window.dispatchEvent(new Event("focus"))');
  },
  reload: () => page.reload(),
  fill: ({ on, text }) => page.locator(on).fill(text),
  click: ({ on }) => page.locator(on).click(),
  choose: ({ on, text }) => page.locator(on).selectOption(text),
  check: ({ on }) => page.locator(on).check({ force: true }),
  press: ({ keys }) => page.keyboard.press(keys),
  wait: ({ on, state }) => page.locator(on).first().waitFor({ state }),
  text: ({ on }) => page.locator(on).innerText(),
  value: ({ on }) => page.locator(on).inputValue(),
  count: ({ on }) => page.locator(on).count(),
  evaluate: ({ code }) => page.evaluate(code),
  /** The whole page, as it is when nothing on it moves. */
  async shot({ path }) {
    await page.evaluate('scrollTo(0, 0)');
    await page.screenshot({ path, fullPage: true, animations: 'disabled' });
  },
  async seen() {
    return { requests, problems };
  },
  /** Look for what keeps people from using the page; give what was found, with where. */
  async axe() {
    // The page lets no script in but its own; what the driver evaluates is not asked.
    const source = createRequire(import.meta.url)('axe-core').source;
    const { violations, passes } = await page.evaluate(`${source}; axe.run(document)`);
    const found = violations.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ html, failureSummary }) => ({ html, failureSummary })) }));
    return { found, passed: passes.length };
  },
};

async function openTab(url) {
  page = await context.newPage();
  page.setDefaultTimeout(TIMEOUT_MS);
  page.on('request', (request) => requests.push(request.url()));
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) {
      problems.push(message.text());
    }
  });
  await page.goto(url);
}

try {
  for await (const line of lines) {
    const { do: name, ...given } = JSON.parse(line);
    let answer;
    try {
      answer = { is: (await STEPS[name](given)) ?? null };
    } catch (error) {
      answer = { failed: String(error), problems };
    }
    process.stdout.write(JSON.stringify(answer) + '\n');
  }
} finally {
  await browser.close();
}
