// Who has a token, and who has none.
import { full, open, until } from "../page.mjs";

/** A page that wants a token, without and with it. */
export async function token(browser, job) {
  const bare = await open(browser, { ...job, url: job.url.split("#")[0] });
  await bare.page.waitForFunction(() => document.getElementById("connection").dataset.state === "refused", null, { timeout: 30_000 });
  const refused = await bare.page.textContent("#connection");
  const own = await open(browser, job);
  await until(own.page, "a picture", full(job.lanes));
  const address = own.page.url();
  await bare.context.close();
  await own.context.close();
  return { refused, address };
}
