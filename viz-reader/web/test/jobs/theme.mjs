// Dark and light: as the system is set, until somebody chooses.
import { full, open, until, violations } from "../page.mjs";

export async function theme(browser, job) {
  const { page, context, faults } = await open(browser, job);
  await until(page, "a picture", full(job.lanes));
  const now = () =>
    page.evaluate(() => [document.documentElement.dataset.theme, getComputedStyle(document.body).backgroundColor]);
  // The system's other theme, and what comes of it; drawing goes on.
  const system = async (colorScheme) => {
    const { draws } = await page.evaluate(() => globalThis.tympan.figures());
    await page.emulateMedia({ colorScheme });
    await until(page, "pictures after it", (seen) => seen.settled && seen.draws > draws + 5);
    return now();
  };
  const seen = [["dark", await now()]];
  for (const wish of ["light", "dark", "light"]) seen.push([wish, await system(wish)]);
  await page.click("#theme");
  const chosen = [await now(), await system("dark"), await system("light")];
  await page.reload();
  await until(page, "a picture again", full(job.lanes));
  chosen.push(await now());
  await page.click("#open-settings");
  await page.click("#reset");
  const again = [await now(), await system("dark")];
  const answer = { seen, chosen, again, faults, violations: await violations(page) };
  await context.close();
  return answer;
}
