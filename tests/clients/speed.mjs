// Lets the playground run an agent, and tells what that cost its main thread.
//
// The input is `{chromium, url, panels, payloads}`: one run for each payload, and the panels are shown in turn while the
// agent speaks. The output is `{first_paint_ms, runs}`, of each run `{longest_task_ms, all_tasks_ms, tokens}`. The first
// paint is that of several which was soonest: what else a busy machine does only ever makes it later. The times of tasks
// are those of the processor.

import { text } from 'node:stream/consumers';

import { chromium } from 'playwright-core';

const LOADS = 6;
const PANEL_MS = 1000;

const { chromium: executablePath, url, panels, payloads } = JSON.parse(await text(process.stdin));
const browser = await chromium.launch({
  executablePath,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
});
try {
  const paints = [];
  for (let load = 0; load < LOADS; load += 1) {
    paints.push(await firstPaint());
  }
  const runs = [];
  for (const payload of payloads) {
    runs.push(await measured(payload));
  }
  process.stdout.write(JSON.stringify({ first_paint_ms: Math.min(...paints), runs }));
} finally {
  await browser.close();
}

async function measured(payload) {
  const page = await browser.newPage();
  await page.goto(url);
  await page.locator('role=textbox[name="Payload"]').fill(JSON.stringify(payload));
  const session = await browser.newBrowserCDPSession();
  const events = [];
  session.on('Tracing.dataCollected', ({ value }) => events.push(...value));
  await session.send('Tracing.start', {
    transferMode: 'ReportEvents',
    traceConfig: { includedCategories: ['toplevel', 'devtools.timeline'] },
  });
  // Playwright's own look-ups run on the same thread, and some take longer than all that is measured here.
  await page.evaluate(() => document.querySelector('.composer .primary').click());
  for (let turn = 0; !(await page.evaluate(isComplete)); turn += 1) {
    await page.evaluate(showPanel, panels[turn % panels.length]);
    await new Promise((resolve) => setTimeout(resolve, PANEL_MS));
  }
  const complete = new Promise((resolve) => session.on('Tracing.tracingComplete', resolve));
  await session.send('Tracing.end');
  await complete;
  await session.detach();
  // The browser has pages of its own; this one is where the run was asked for.
  const asked = events.find((one) => one.name === 'ResourceSendRequest' && one.args.data.url.endsWith('/invoke/stream'));
  const tasks = events
    .filter((one) => one.name === 'ThreadControllerImpl::RunTask' && one.pid === asked.pid && one.tid === asked.tid)
    .map((one) => (one.tdur ?? 0) / 1000);
  const told = {
    longest_task_ms: Math.max(...tasks),
    all_tasks_ms: tasks.reduce((sum, one) => sum + one, 0),
    tokens: await page.locator('.tile:has-text("Tokens") dd').innerText(),
  };
  await page.close();
  return told;
}

/** Nothing of the page is in the browser's memory. */
async function firstPaint() {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(url);
  const paint = await page.evaluate(painted);
  await context.close();
  return paint;
}

function painted() {
  return new Promise((resolve) => {
    const observer = new PerformanceObserver((list) => {
      for (const { name, startTime } of list.getEntries()) {
        if (name === 'first-contentful-paint') {
          resolve(startTime);
        }
      }
    });
    observer.observe({ type: 'paint', buffered: true });
  });
}

function showPanel(name) {
  [...document.querySelectorAll('.result [role=tab]')].find((one) => one.textContent === name).click();
}

function isComplete() {
  return document.querySelector('.status .badge.is-complete')?.textContent === 'Complete';
}
