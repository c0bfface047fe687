// A phone: its width, fingers, and what a screen reader finds.
import { full, letGo, longEnough, open, until, violations } from "../page.mjs";

export async function phone(browser, job) {
  const { page, context, faults } = await open(browser, job, { viewport: { width: 375, height: 700 }, touch: true, scale: 2 });
  await until(page, "a picture", full(job.lanes));
  const devtools = await context.newCDPSession(page);
  const touch = (type, ...points) =>
    devtools.send("Input.dispatchTouchEvent", { type, touchPoints: points.map(([x, y], id) => ({ x, y, id })) });
  const steps = async (at) => {
    await touch("touchStart", ...at(0));
    for (let step = 1; step <= 10; step++) await touch("touchMove", ...at(step / 10));
    await touch("touchEnd");
    await letGo(page);
  };
  // Both drags to the right together, and some more.
  const before = await longEnough(page, 2);
  await steps((part) => [[150 + 90 * part, 300]]);
  const dragged = await until(page, "a drag", (seen) => seen.back !== null && seen.settled);
  await steps((part) => [[150 - 50 * part, 300], [200 + 50 * part, 300]]);
  const pinched = await until(page, "a pinch", (seen) => seen.secondsPerPixel < dragged.secondsPerPixel * 0.4 && seen.settled);
  await page.tap("#live");
  await until(page, "now", (seen) => seen.back === null && seen.settled);
  await page.tap("#open-settings");
  const panel = await page.locator("#settings").boundingBox();
  await page.tap("#close-settings");
  const roles = {};
  for (const [role, name] of job.roles) roles[`${role} ${name}`] = await page.getByRole(role, { name }).count();
  const answer = {
    pannedPixels: dragged.back / before.secondsPerPixel, zoomed: pinched.secondsPerPixel / dragged.secondsPerPixel,
    roles, panel, overflow: await page.evaluate(() => document.documentElement.scrollWidth - innerWidth),
    faults, violations: await violations(page),
  };
  await context.close();
  return answer;
}
