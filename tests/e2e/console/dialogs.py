"""What a person does with the console's dialogs."""

from playwright.sync_api import Locator, Page, expect


def open_dialog(page: Page, action: str, **fields: str) -> Locator:
    """Press the button of an action, and fill in the dialog's fields by their names."""
    page.get_by_role("button", name=action, exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    for name, value in fields.items():
        field = dialog.locator(f"[name={name}]")
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    return dialog


def confirm(dialog: Locator) -> None:
    """Press the button that sends the request."""
    dialog.locator("button[type=submit]").click()


def perform(page: Page, action: str, **fields: str) -> None:
    """Carry out an action through its dialog, and wait until it is done."""
    confirm(open_dialog(page, action, **fields))
    expect(page.get_by_role("dialog")).to_have_count(0)


def select_cells(page: Page, *cells: int) -> None:
    """Select cells of the cabinet that is shown."""
    for cell in cells:
        page.get_by_label(f"Select cell {cell}", exact=True).check()


def door(page: Page, cell: int) -> Locator:
    """Return a door of the cabinet that is shown."""
    return page.locator(f".door[data-cell='{cell}']")
