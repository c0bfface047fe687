// What a mouse does: buttons, wheel, double click.
import { figures, full, longEnough, open, until, violations } from "../page.mjs";

/** Buttons, and the picture under wheel and double click. */
export async function mouse(browser, job) {
  const { page, context, faults } = await open(browser, job, { viewport: { width: 800, height: 600 } });
  await until(page, "a picture", full(job.lanes));
  const settled = (what, fits = () => true) => until(page, what, (now) => now.settled && fits(now));
  const look = async () => ({
    back: (await settled("a picture")).back, says: (await page.textContent("#pause")).trim(),
    pressed: await page.getAttribute("#pause", "aria-pressed"), live: await page.isDisabled("#live"),
  });
  const seen = { buttons: [await look()], themes: [] };
  for (const button of ["#pause", "#pause", "#pause", "#live"]) {
    await page.click(button);
    seen.buttons.push(await look());
  }
  for (let turn = 0; turn < 2; turn++) {
    await page.click("#theme");
    seen.themes.push(await page.evaluate(() => document.documentElement.dataset.theme));
  }
  const [save] = await Promise.all([page.waitForEvent("download"), page.click("#png")]);
  seen.saved = save.suggestedFilename();
  seen.panel = [];
  for (const button of ["#open-settings", "#open-settings", "#open-settings", "#close-settings"]) {
    await page.click(button);
    seen.panel.push(await page.isVisible("#settings"));
  }

  // Sideways the wheel moves, also with a shift key; the other way it zooms around the pointer.
  await longEnough(page, 2);
  const wide = await page.evaluate(() => document.getElementById("stage").clientWidth);
  const stage = await page.locator("#stage").boundingBox();
  const x = 500;
  await page.mouse.move(stage.x + x, stage.y + 200);
  const wheel = async (right, down, shift = false) => {
    const before = await figures(page);
    if (shift) await page.keyboard.down("Shift");
    await page.mouse.wheel(right, down);
    if (shift) await page.keyboard.up("Shift");
    // A wheel's turn arrives later than a key.
    const now = await settled("a turn of the wheel", (one) => one.back !== before.back || one.secondsPerPixel !== before.secondsPerPixel);
    const under = (one) => (one.back ?? 0) + (wide - x) * one.secondsPerPixel;
    return { moved: ((now.back ?? 0) - (before.back ?? 0)) / before.secondsPerPixel, factor: now.secondsPerPixel / before.secondsPerPixel,
      off: (under(now) - under(before)) / before.secondsPerPixel, back: now.back };
  };
  seen.wheel = {
    live: await wheel(0, 50), liveBack: await wheel(0, -50), sideways: await wheel(-120, 0), back: await wheel(50, 0), shift: await wheel(0, -60, true),
    closer: await wheel(0, -100), wider: await wheel(0, 25),
  };
  await page.mouse.dblclick(stage.x + 300, stage.y + 200);
  await settled("now", (one) => one.back === null);
  seen.double = await look();
  const answer = { ...seen, faults, violations: await violations(page) };
  await context.close();
  return answer;
}
