// Lets the playground run an agent once, and tells what that cost its main thread.
//
// The input is `{chromium, url, panel, payload}`; the output `{first_paint_ms, longest_task_ms, all_tasks_ms, tokens}`.
// The times of tasks are those of the processor.

import { text } from 'node:stream/consumers';

import { chromium } from 'playwright-core';

const { chromium: executablePath, url, panel, payload } = JSON.parse(await text(process.stdin));
const browser = await chromium.launch({
  executablePath,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
});
try {
  const page = await browser.newPage();
  const session = await browser.newBrowserCDPSession();
  const events = [];
  session.on('Tracing.dataCollected', ({ value }) => events.push(...value));
  // What a browser does once in its life is not the page's.
  await page.goto(`${url}health`);
  await page.goto(url);
  await page.locator('role=button[name="Run"]').waitFor();
  const [paint] = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint').map((one) => one.startTime));
  await page.locator('role=textbox[name="Payload"]').fill(JSON.stringify(payload));
  await page.locator(`role=tab[name="${panel}"]`).click();
  await session.send('Tracing.start', {
    transferMode: 'ReportEvents',
    traceConfig: { includedCategories: ['toplevel', '__metadata'] },
  });
  // Playwright's own look-ups run on the same thread, and some take longer than all that is measured here.
  await page.evaluate(() => document.querySelector('.composer .primary').click());
  const isComplete = () => document.querySelector('.status .badge.is-complete')?.textContent === 'Complete';
  while (!(await page.evaluate(isComplete))) {
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const complete = new Promise((resolve) => session.on('Tracing.tracingComplete', resolve));
  await session.send('Tracing.end');
  await complete;
  const threads = events.filter((one) => one.name === 'thread_name' && one.args.name === 'CrRendererMain');
  const main = new Set(threads.map((one) => `${one.pid}/${one.tid}`));
  const tasks = events
    .filter((one) => one.ph === 'X' && one.name === 'ThreadControllerImpl::RunTask' && main.has(`${one.pid}/${one.tid}`))
    .map((one) => (one.tdur ?? 0) / 1000);
  const told = {
    first_paint_ms: paint,
    longest_task_ms: Math.max(...tasks),
    all_tasks_ms: tasks.reduce((sum, one) => sum + one, 0),
    tokens: await page.locator('.tile:has-text("Tokens") dd').innerText(),
  };
  process.stdout.write(JSON.stringify(told));
} finally {
  await browser.close();
}
