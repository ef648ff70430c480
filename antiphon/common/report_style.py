"""The style sheet of the report."""

STYLE = """
:root { --ink: #22272e; --muted: #5d6773; --rule: #e3e7ec; --accent: #0072b2; --paper: #ffffff; --ground: #f5f7f9; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", Arial, sans-serif; }
main { max-width: 980px; margin: 0 auto; padding: 40px 24px 64px; }
header { margin-bottom: 28px; }
.brand { margin: 0 0 6px; font-size: 13px; letter-spacing: .14em; text-transform: uppercase;
  color: var(--accent); font-weight: 600; }
h1 { margin: 0; font-size: 32px; line-height: 1.2; letter-spacing: -.01em; overflow-wrap: anywhere; }
.subtitle { margin: 8px 0 0; color: var(--muted); font-size: 18px; max-width: 46em; }
.tiles { display: flex; flex-wrap: wrap; gap: 14px; margin-bottom: 20px; }
.tiles div { flex: 1 1 auto; background: var(--paper); border: 1px solid var(--rule); border-radius: 10px; padding: 14px 18px; }
.tiles b { display: block; font-size: 19px; line-height: 1.4; font-weight: 650; font-variant-numeric: tabular-nums; }
.tiles span { color: var(--muted); font-size: 14px; }
section { background: var(--paper); border: 1px solid var(--rule); border-radius: 10px; padding: 24px 28px; margin-bottom: 20px; }
h2 { margin: 0 0 14px; font-size: 20px; }
h3 { margin: 22px 0 8px; font-size: 16px; }
h2 + h3 { margin-top: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 5px 24px; margin: 0; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 15px; font-variant-numeric: tabular-nums; }
th, td { padding: 8px 12px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); font-weight: 400; }
thead th { color: var(--muted); font-size: 13.5px; border-bottom: 2px solid var(--rule); }
th:first-child { text-align: left; padding-left: 0; }
tbody tr:last-child > * { border-bottom: 0; }
tr.strong > * { font-weight: 650; }
.better { color: #00694d; font-weight: 650; }
.worse { color: #b34700; font-weight: 650; }
.caption { margin: 8px 0 0; color: var(--muted); font-size: 14px; max-width: 58em; }
figure { margin: 0; padding: 22px 0; border-top: 1px solid var(--rule); break-inside: avoid; }
h2 + figure { border-top: 0; padding-top: 0; }
figcaption { font-weight: 650; margin-bottom: 10px; }
figure img { display: block; width: 100%; height: auto; }
ul { margin: 0; padding-left: 20px; }
li + li { margin-top: 6px; }
summary { cursor: pointer; color: var(--accent); }
pre { overflow-x: auto; background: var(--ground); border-radius: 8px; padding: 16px; margin: 14px 0 0;
  font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
@media (max-width: 640px) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 8px; } section { padding: 18px 16px; } }
@media print { body { background: #fff; } main { max-width: none; padding: 0; } section, .tiles div { border-color: #ccc; } }
"""
