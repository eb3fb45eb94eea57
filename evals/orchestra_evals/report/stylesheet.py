"""How the page of a report looks: on a screen in light and dark, on a narrow one, and printed."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1b1b1f; --quiet: #5c5f66; --line: #d5d7db; --band: #f5f6f7; --mark: #9a3412;
}
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181d; --ink: #e6e7ea; --quiet: #a3a7b0; --line: #3a3e47; --band: #1e2128; --mark: #fdba74; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p, li { max-width: 48rem; overflow-wrap: anywhere; }
ul { padding-left: 1.25rem; }
li + li { margin-top: .3rem; }
pre { padding: .75rem 1rem; background: var(--band); white-space: pre-wrap; overflow-wrap: anywhere; }
code { font: .875rem/1.5 ui-monospace, monospace; }
.notice { padding: .6rem 1rem; border-left: .3rem solid var(--mark); background: var(--band); }
.table { overflow-x: auto; margin: 1rem 0 1.75rem; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption, figcaption { text-align: left; font-weight: 600; padding-bottom: .4rem; font-size: .9375rem; }
.evidence { font-weight: 400; color: var(--quiet); white-space: nowrap; padding-left: .5rem; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th[scope=row] { font-weight: 400; min-width: 13rem; max-width: 24rem; overflow-wrap: break-word; }
td { max-width: 26rem; overflow-wrap: break-word; }
.number { text-align: right; }
td.number { white-space: nowrap; }
tbody tr:nth-child(even) { background: var(--band); }
figure { margin: 1.5rem 0 2rem; }
figure svg { display: block; width: 100%; max-width: 60rem; height: auto; color: var(--ink); }
figcaption { padding-top: .4rem; }
@media print {
  :root { color-scheme: light; --paper: #fff; --ink: #000; --quiet: #444; --line: #bbb; --band: #fff; --mark: #000; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  .table { overflow: visible; }
  table { font-size: 7.5pt; }
  th, td { padding: .15rem .3rem; }
  th[scope=row] { min-width: 0; max-width: 14rem; }
  caption, figcaption { font-size: 9pt; }
  td.number { white-space: normal; }
  tr, figure, li { break-inside: avoid; }
  h2, h3, caption { break-after: avoid; }
}
"""
