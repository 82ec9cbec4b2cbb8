// What a person does with the dashboard, and what they must not have to see. Runs in the folder of a workspace that `run` made.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(path.join(process.env.MODULES, "node_modules", "_"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const amzctl = process.env.AMZCTL;
const shots = process.env.SHOTS;
const NOW = process.env.AMZCTL_NOW;
const PATIENCE = 30_000;

/** Runs a command of amzctl; what it printed. */
function run(line, environment = {}) {
  return execFileSync(amzctl, line.split(" "), { env: { ...process.env, ...environment }, encoding: "utf8" });
}

/** What was started and has not ended: whatever goes wrong, nothing is left behind. */
const started = new Set();
process.on("exit", () => started.forEach((child) => child.kill("SIGKILL")));

/** Starts a server on any free port; its address, and how to end it. */
async function serve(environment = {}, flags = []) {
  const child = spawn(amzctl, ["serve-lite", "--listen", "127.0.0.1:0", ...flags], {
    env: { ...process.env, ...environment },
    stdio: ["ignore", "ignore", "pipe"],
  });
  started.add(child);
  child.once("exit", () => started.delete(child));
  let said = "";
  const address = await new Promise((found, failed) => {
    child.stderr.on("data", (some) => {
      said += some;
      const line = said.match(/listening on (http:\S+)/);
      if (line) found(line[1]);
    });
    child.once("exit", () => failed(new Error(`the server ended: ${said}`)));
  });
  const end = () =>
    new Promise((ended) => {
      child.once("exit", ended);
      child.kill("SIGTERM");
    });
  return { address, end };
}

function key(kind, more = "") {
  return JSON.parse(run(`keys create --json -q --name ${kind} --kind ${kind} --tier premium${more}`)).key;
}

const keys = { admin: key("admin"), secret: key("secret") };
const alerts = run("alert list --state open --format csv --fields alert_id,asin").trim().split("\n").slice(1);
const [alert] = alerts[0].split(",");
const product = run("watch list --format csv --fields marketplace,asin").trim().split("\n").slice(1)
  .map((line) => line.replace(",", ":")).find((name) => name.startsWith("US:"));
const cohort = run("cohort list --format csv --fields name").trim().split("\n")[1];

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});

/** A page in a browser of its own; what it writes to the console is kept. */
async function open(server, options = {}) {
  const context = await browser.newContext({ baseURL: server.address, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.errors = [];
  page.on("console", (line) => line.type() === "error" && page.errors.push(line.text()));
  page.on("pageerror", (error) => page.errors.push(String(error)));
  return page;
}

async function logIn(page, shown) {
  await page.goto("/login");
  await page.getByLabel("Key", { exact: true }).fill(shown);
  await page.getByRole("button", { name: "Log in" }).click();
}

async function loggedIn(server, options = {}, shown = keys.admin) {
  const page = await open(server, options);
  await logIn(page, shown);
  await page.waitForURL(server.address + "/");
  return page;
}

let failed = 0;
async function step(name, test) {
  const began = Date.now();
  try {
    await test();
    console.log(`ok    ${name} (${Date.now() - began} ms)`);
  } catch (error) {
    failed += 1;
    console.log(`WRONG ${name}\n${error.stack}`);
  }
}

/** Rules of accessibility that a page breaks. */
async function broken(page) {
  // The policy of the pages lets no script in but their own: this one is let in from outside of it.
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return found.violations.map((rule) => `${rule.id}: ${rule.nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`);
}

const server = await serve();

await step("logging in leads to the page that was asked for", async () => {
  const page = await open(server);
  await page.goto("/alerts?state=all");
  assert.match(page.url(), /\/login\?next=/);
  await page.getByLabel("Key", { exact: true }).fill(keys.secret);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.waitForURL("**/alerts?state=all");
  assert.equal(await page.getByRole("heading", { level: 1 }).textContent(), "Alerts");
  assert.equal(await page.evaluate(() => document.cookie), "", "no script sees the session");
  assert.deepEqual(page.errors, []);
  await page.getByRole("button", { name: "Log out" }).click();
  await page.waitForURL("**/login");
  await page.goto("/alerts");
  assert.match(page.url(), /\/login/);
  await page.context().close();
});

const PAGES = {
  overview: "/",
  products: "/products",
  product: `/products/${product}`,
  cohorts: "/cohorts",
  cohort: `/cohorts/${encodeURIComponent(cohort)}`,
  alerts: "/alerts",
  alert: `/alerts/${alert}`,
  reports: "/reports",
  operation: "/operation",
  keys: "/keys",
};

for (const colorScheme of ["light", "dark"]) {
  for (const [name, width, locale] of [["wide", 1280, "en"], ["phone", 390, "en"], ["phone", 390, "zh-TW"]]) {
    await step(`every page is accessible and quiet: ${colorScheme}, ${name}, ${locale}`, async () => {
      const options = { colorScheme, viewport: { width, height: 844 }, locale };
      const outside = await open(server, options);
      const wrong = [];
      const look = async (page, what) => {
        for (const rule of await broken(page)) wrong.push(`${what}: ${rule}`);
        const [wide, seen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        if (wide > seen) wrong.push(`${what} is ${wide} wide on a screen of ${seen}`);
        for (const error of page.errors.splice(0)) wrong.push(`${what} says ${error}`);
        const file = `${what}-${colorScheme}-${name}-${locale}.png`;
        if (shots) await page.screenshot({ path: path.join(shots, file), fullPage: true });
      };
      await outside.goto("/login");
      await look(outside, "login");
      await outside.locator("#key").fill(keys.admin);
      await outside.locator(".door button").click();
      await outside.waitForURL(server.address + "/");
      for (const [what, url] of Object.entries(PAGES)) {
        const answer = await outside.goto(url);
        assert.equal(answer.status(), 200, what);
        await look(outside, what);
      }
      const answer = await outside.goto("/nowhere");
      assert.equal(answer.status(), 404);
      // The console tells of every 404, this one too.
      outside.errors = [];
      await look(outside, "trouble");
      assert.deepEqual(wrong, []);
      await outside.context().close();
    });
  }
}

await step("a product's page has charts, ranges and its days", async () => {
  const page = await loggedIn(server);
  await page.goto(`/products/${product}`);
  assert.ok((await page.locator("figure svg.chart").count()) >= 5);
  await page.getByRole("link", { name: "30 days" }).click();
  await page.waitForURL("**?days=30");
  await page.getByText(/days that were seen, as a table/).click();
  assert.ok((await page.locator("details tbody tr").count()) > 10);
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

await step("the list of products follows what is typed", async () => {
  const page = await loggedIn(server);
  await page.goto("/products");
  const before = await page.locator(".products tbody tr").count();
  await page.getByLabel("Search").pressSequentially(product.slice(3));
  await page.waitForFunction(() => document.querySelectorAll(".products tbody tr").length === 1);
  assert.ok(before > 1);
  assert.match(page.url(), new RegExp(`q=${product.slice(3)}`), "it can be shared");
  await page.getByLabel("Search").fill("nothing is called so");
  await page.getByText("No product is like that.").waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

await step("an alert is acknowledged", async () => {
  const page = await loggedIn(server, {}, keys.secret);
  await page.goto("/alerts");
  const row = page.locator(`[data-alert="${alert}"]`);
  await row.getByRole("button", { name: "Acknowledge" }).click();
  await page.getByText("Acknowledged.").waitFor();
  assert.equal(await row.count(), 0, "it is not open any more");
  await page.goto(`/alerts/${alert}`);
  await page.getByText(/open → acknowledged · key secret/).waitFor();
  assert.equal(JSON.parse(run(`alert show ${alert} --json`)).state, "acknowledged");
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

await step("an alert appears while somebody looks", async () => {
  const page = await loggedIn(server);
  await page.goto("/alerts");
  let loads = 0;
  page.on("load", () => (loads += 1));
  const before = new Set(run("alert list --format csv --fields alert_id").trim().split("\n"));
  const [, asin] = product.split(":");
  const row = (day, price) => `US,${asin},${day}T08:00:00Z,${price},in_stock\n`;
  writeFileSync(
    "live.csv",
    "marketplace,asin,observed_at,price_minor,availability\n" + row("2026-02-28", 100) + row("2026-03-01", 900000),
  );
  run("run -q --no-deliver live.csv", { AMZCTL_NOW: "2026-03-01T12:00:00Z" });
  await page.locator("#news:not([hidden])").waitFor();
  const link = page.locator("#told a");
  const id = (await link.getAttribute("href")).split("/").pop();
  await page.locator(".alert.new").first().waitFor();
  const shown = JSON.parse(run(`alert show ${id} --json`));
  assert.ok(!before.has(id) && shown.state === "open", "it is new");
  assert.equal(await link.textContent(), shown.message);
  assert.ok((await page.locator(".alert").count()) > 0);
  assert.equal(loads, 0, "without loading the page again");
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

await step("a form that is not of the page does nothing", async () => {
  const page = await loggedIn(server);
  await page.goto("/alerts?state=open");
  const row = page.locator(".alert").first();
  const id = await row.getAttribute("data-alert");
  await row.locator("input[name=form_token]").evaluate((field) => (field.value = "0".repeat(64)));
  const answered = page.waitForResponse((answer) => answer.request().method() === "POST");
  await row.getByRole("button", { name: "Resolve" }).click();
  assert.equal((await answered).status(), 403);
  await page.getByText(/not one of this page/).waitFor();
  assert.equal(JSON.parse(run(`alert show ${id} --json`)).state, "open");
  await page.context().close();
});

await step("a page of another site cannot act in somebody's name", async () => {
  const page = await loggedIn(server);
  const form = `<form method="post" action="${server.address}/alerts/${alert}/resolve"><button>Win</button></form>`;
  await page.route("http://other.example/**", (route) => route.fulfill({ contentType: "text/html", body: form }));
  await page.goto("http://other.example/");
  const answered = page.waitForResponse((answer) => answer.request().method() === "POST");
  await page.getByRole("button", { name: "Win" }).click();
  const answer = await answered;
  assert.equal(answer.status(), 303, "nobody is logged in there");
  assert.match(answer.headers().location, /^\/login/);
  assert.equal(JSON.parse(run(`alert show ${alert} --json`)).state, "acknowledged");
  await page.context().close();
});

await step("a key is made, shown once, and revoked", async () => {
  const page = await loggedIn(server);
  await page.goto("/keys");
  await page.getByLabel("Name").fill("scanner");
  await page.getByRole("button", { name: "Make" }).click();
  const made = await page.locator("#made").textContent();
  assert.match(made, /^pk_.{43}$/);
  await page.goto("/keys");
  assert.ok(!(await page.content()).includes(made));
  const row = page.locator("tr", { hasText: "scanner" });
  await row.locator("summary").click();
  await row.getByRole("button", { name: "Revoke now" }).click();
  await page.getByText("The key is revoked.").waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

await step("everything works without JavaScript", async () => {
  const page = await loggedIn(server, { javaScriptEnabled: false });
  for (const [what, url] of Object.entries(PAGES)) {
    assert.equal((await page.goto(url)).status(), 200, what);
  }
  await page.goto("/products");
  await page.getByLabel("Search").fill(product.slice(3));
  await page.getByRole("button", { name: "Search" }).click();
  await page.waitForURL("**/products?q=*");
  assert.equal(await page.locator(".products tbody tr").count(), 1);
  await page.goto("/alerts");
  const row = page.locator(".alert").first();
  const id = await row.getAttribute("data-alert");
  await row.getByRole("button", { name: "Snooze 1 day" }).click();
  await page.getByText("Snoozed.").waitFor();
  assert.equal(JSON.parse(run(`alert show ${id} --json`)).state, "snoozed");
  await page.getByRole("link", { name: "繁體中文" }).click();
  assert.equal(await page.getByRole("heading", { level: 1 }).textContent(), "警示");
  await page.context().close();
});

await step("a session ends when nobody uses it", async () => {
  const page = await loggedIn(server);
  const later = await serve({ AMZCTL_NOW: new Date(Date.parse(NOW) + 3_601_000).toISOString() });
  await page.goto(later.address + "/alerts");
  assert.match(page.url(), /\/login\?next=%2Falerts/);
  assert.deepEqual(page.errors, []);
  await page.context().close();
  await later.end();
});

await step("who shows six wrong keys has to wait", async () => {
  const other = await serve();
  const page = await open(other);
  for (let number = 1; number <= 5; number += 1) {
    await logIn(page, `sk_wrong${number}`);
    await page.getByText("This key is unknown, expired or revoked.").waitFor();
  }
  await logIn(page, keys.admin);
  await page.getByText(/Too many wrong keys came from this address/).waitFor();
  await page.context().close();
  await other.end();
});

await browser.close();
await server.end();
if (failed > 0) {
  console.log(`${failed} wrong`);
  process.exit(1);
}
