"""English and Russian: the same texts, switched in place."""

import re
from typing import Any

from playwright.sync_api import Page, expect

from tests.e2e.console import screens
from tests.e2e.console.conftest import OpenConsole

_TEXTS = """async () => {
  const [{ en }, { ru }] = await Promise.all(
    ["en", "ru"].map((name) => import(`/console/dev/app/text/${name}.js`)));
  return { en, ru };
}"""
_SHOWN = """() => {
  const named = [...document.querySelectorAll("[aria-label], [title], [placeholder]")];
  const attributes = named.flatMap((one) =>
    ["aria-label", "title", "placeholder"].map((name) => one.getAttribute(name) ?? ""));
  const quoted = [...document.querySelectorAll("[lang=en]")].map((one) => one.innerText);
  const text = quoted.reduce((all, one) => all.replace(one, ""), document.body.innerText);
  return [document.title, text, ...attributes].join("\\n");
}"""


def words(text: str) -> set[str]:
    """Return the Latin words of a text, without ids and {placeholders}."""
    return {word.lower() for word in re.findall(r"(?<![\w{.-])[A-Za-z]{2,}(?![\w}-])", text)}


def test_both_languages_have_the_same_texts_and_placeholders(page: Page) -> None:
    texts: dict[str, dict[str, str]] = page.evaluate(_TEXTS)

    def placeholders(language: str) -> dict[str, list[str]]:
        return {
            name: sorted(re.findall(r"\{(\w+)\}", text)) for name, text in texts[language].items()
        }

    assert placeholders("en") == placeholders("ru")
    assert [name for name, text in texts["ru"].items() if not text] == []


def test_no_english_word_is_left_on_a_russian_screen(
    open_console: OpenConsole, scenes: screens.Scenes
) -> None:
    page = open_console("overview")
    texts: dict[str, Any] = page.evaluate(_TEXTS)
    russian = words(" ".join(texts["ru"].values()))
    english = words(" ".join(texts["en"].values())) - russian
    page.get_by_role("button", name="RU").click()
    expect(page.get_by_role("heading", name="Обзор")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "ru"
    left = {}
    for name, address in scenes.addresses().items():
        page.goto(f"/#/{address}")
        expect(page.locator("main")).not_to_contain_text("Загружается…")
        found = words(page.evaluate(_SHOWN)) & english
        if found:
            left[name] = sorted(found)
    page.goto(f"/#/cabinets/{scenes.cabinet}")
    page.get_by_role("button", name="Изменить число ячеек").click()
    dialog = words(page.get_by_role("dialog").inner_text()) & english
    assert (left, dialog) == ({}, set())


def test_the_language_is_switched_in_place_and_kept(open_console: OpenConsole) -> None:
    page = open_console("cabinets")
    page.get_by_label("Filter").fill("C-00")
    page.get_by_role("button", name="RU").click()
    expect(page.get_by_role("heading", name="Шкафы")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Прошивка")).to_be_visible()
    expect(page.get_by_label("Фильтр")).to_have_value("C-00")
    page.reload()
    expect(page.get_by_role("heading", name="Шкафы")).to_be_visible()
    page.get_by_role("button", name="EN").click()
    expect(page.get_by_role("heading", name="Cabinets")).to_be_visible()
