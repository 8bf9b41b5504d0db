"""What axe-core finds wrong with a page, and what does not fit on a narrow screen."""

from __future__ import annotations

from importlib.resources import files

from playwright.sync_api import Page

# The package has types for nothing; of it only axe-core itself is needed.
_AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
# All rules, and the one of WCAG 2.2 that is not on by itself.
_OPTIONS = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}

_OUTSIDE = """
() => {
  const wide = document.documentElement.clientWidth;
  const found = [];
  if (document.documentElement.scrollWidth > wide) found.push("the page");
  for (const each of document.querySelectorAll("body *:not(.skip)")) {
    const box = each.getBoundingClientRect();
    if (box.width && (box.right > wide + 1 || box.left < -1))
      found.push(`${each.tagName} ${each.className} ${each.textContent.trim()}`);
  }
  for (const each of document.querySelectorAll("td, th, dd, p, li, section, fieldset"))
    if (each.clientWidth && each.scrollWidth > each.clientWidth + 1)
      found.push(`in ${each.tagName} ${each.className} ${each.textContent.trim()}`);
  return found;
}
"""


def violations(page: Page) -> list[str]:
    """Return the rules that a page breaks, and the elements that break them."""
    page.evaluate(_AXE)
    found = page.evaluate("options => axe.run(document, options)", _OPTIONS)
    return [
        f"{each['id']}: {each['help']}: {node['html']}: {node['failureSummary']}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


def outside(page: Page) -> list[str]:
    """Return what reaches over the edge of the window, or of what it is in."""
    found: list[str] = page.evaluate(_OUTSIDE)
    return found
