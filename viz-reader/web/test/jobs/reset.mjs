// Settings that are forgotten.
import { figures, full, open, set, until, violations } from "../page.mjs";

/** Each setting is another one, and then all are as at first: in the page, in its fields, and when it is opened again. */
export async function reset(browser, job) {
  const { page, context, faults } = await open(browser, job);
  const look = async () => {
    const { settings, secondsPerPixel, lanes } = await until(page, "a picture", full(job.lanes));
    const fields = await page.locator("#settings [name]").evaluateAll((all) => Object.fromEntries(
      all.map((field) => [field.name, field.type === "checkbox" ? field.checked : field.value])));
    const theme = await page.evaluate(() => document.documentElement.dataset.theme);
    return { settings, fields, theme, pixelsPerSecond: 1 / secondsPerPixel, lanes: lanes.length, kept: await page.evaluate(() => localStorage.length) };
  };
  const first = await look();
  for (const [name, value] of Object.entries(job.others)) await set(page, name, value);
  await page.click("#theme");
  await page.click("#open-settings");
  await page.click("#channels [data-channel$=' 1']");
  await until(page, "a lane less", (seen) => seen.settled && seen.lanes.length === job.lanes - 1);
  const { settings: changed } = await figures(page);
  await page.click("#reset");
  const again = await look();
  await page.reload();
  const answer = { first, changed, again, reloaded: await look(), faults, violations: await violations(page) };
  await context.close();
  return answer;
}
