import assert from "node:assert/strict";
import { test } from "node:test";

import {
  blockHtml, codeLanguage, commonPrefix, isClosedFence, lexBlocks, safeHref, settledCount,
} from "../../static/js/markdown/blocks.js";

const html = (text) => lexBlocks(text).map(blockHtml).join("");

test("markup in an answer is shown, not interpreted", () => {
  const out = html('<script>alert(1)</script>\n\nHi <img src=x onerror="alert(1)"> <b>there</b>');
  assert.ok(!/<(?:script|img|b)\b/i.test(out), out);
  assert.match(out, /&lt;script&gt;alert\(1\)&lt;\/script&gt;/);
});

test("links open elsewhere, and only to http, https and mailto", () => {
  assert.match(html("[a](https://example.org)"), /<a href="https:\/\/example.org" rel="noopener noreferrer nofollow" target="_blank">a<\/a>/);
  for (const evil of ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "vbscript:x", "//evil.example", "/relative", "file:///etc/passwd", "&#106;avascript:alert(1)"]) {
    assert.ok(!html(`[a](<${evil}>)`).includes("<a "), evil);
  }
  assert.ok(!html("[a][1]\n\n[1]: javascript:alert(1)").includes("<a "));
});

test("safeHref looks through blanks and control characters", () => {
  assert.equal(safeHref("\u0001https://a"), "https://a");
  assert.equal(safeHref("mailto:a@b"), "mailto:a@b");
  assert.equal(safeHref("java\nscript:x"), null);
  assert.equal(safeHref(null), null);
});

test("images are links, never loaded", () => {
  const out = html("![a cat](https://example.org/cat.png?secret)");
  assert.ok(!out.includes("<img"));
  assert.match(out, />Image: a cat<\/a>/);
  assert.equal(html("![x](javascript:1)").trim(), "<p>x</p>");
});

test("quotes in an address stay inside the attribute", () => {
  assert.match(html('[a](<https://e.org/" onclick="x>)'), /href="https:\/\/e.org\/&quot;onclick=&quot;x"|href="https:\/\/e.org\/&quot; ?onclick=&quot;x"/);
});

const TEXT = "# Title\n\nA *paragraph*\nof two lines.\n\n- one\n- two\n\n  more\n\n```js\nlet a = 1;\n\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> quote\n\nTitle two\n=========\n\nEnd.";

test("raw parts join to the whole text", () => {
  assert.equal(lexBlocks(TEXT).map((token) => token.raw).join(""), TEXT);
});

test("settled blocks never change, however the text goes on", () => {
  const final = lexBlocks(TEXT).map((token) => token.raw);
  for (let length = 1; length < TEXT.length; length += 1) {
    const tokens = lexBlocks(TEXT.slice(0, length));
    const settled = tokens.slice(0, settledCount(tokens)).map((token) => token.raw);
    // A blank after a block may still grow by a line, but it draws nothing.
    const visible = (raws) => raws.map((raw) => raw.trim()).filter(Boolean);
    assert.deepEqual(visible(settled), visible(final).slice(0, visible(settled).length), `after ${length}`);
  }
});

test("commonPrefix finds what is drawn already", () => {
  assert.equal(commonPrefix(["a", "b"], [{ raw: "a" }, { raw: "bc" }]), 1);
  assert.equal(commonPrefix([], [{ raw: "a" }]), 0);
});

test("a fence is closed by its own kind only", () => {
  assert.ok(isClosedFence("```js\na\n```"));
  assert.ok(isClosedFence("~~~\na\n~~~~\n"));
  assert.ok(!isClosedFence("```js\na"));
  assert.ok(!isClosedFence("````\n```"));
  assert.ok(!isClosedFence("```"));
  assert.ok(!isClosedFence("    indented"));
});

test("codeLanguage takes the first word", () => {
  assert.equal(codeLanguage("Python title=x"), "python");
  assert.equal(codeLanguage("c++"), "c++");
  assert.equal(codeLanguage('"><script>'), "");
});

test("text nested too deeply for the parser shows as it is", () => {
  const bombs = [">".repeat(2000) + " deep", "*".repeat(20000) + "a" + "*".repeat(20000), "[".repeat(20000)];
  for (const bomb of bombs) {
    const tokens = lexBlocks(bomb);
    assert.equal(tokens.map((token) => token.raw).join(""), bomb);
    for (const token of tokens) assert.equal(typeof blockHtml(token), "string");
  }
});

test("formulas stand as they were written", () => {
  const shown = (raw) => `<code class="math">${raw}</code>`;
  assert.equal(html("Say \\(a_1*b*c\\), or $$x*y*z$$.").trim(), `<p>Say ${shown("\\(a_1*b*c\\)")}, or ${shown("$$x*y*z$$")}.</p>`);
  const display = "$$\na \\\\\n- b\n$$";
  assert.equal(html(`${display}\nand *so* on`).trim(), `<p>${shown(display)}</p>\n<p>and <em>so</em> on</p>`);
  assert.equal(html("\\[ a\n= b < c \\]").trim(), `<p>${shown("\\[ a\n= b &lt; c \\]")}</p>`);
});

test("what only looks like a formula is text", () => {
  assert.equal(html("`\\(a\\)` costs $5 or $6, \\[not closed").trim(), "<p><code>\\(a\\)</code> costs $5 or $6, [not closed</p>");
  assert.equal(html("$$ a\n\nb $$").trim(), "<p>$$ a</p>\n<p>b $$</p>");
});
