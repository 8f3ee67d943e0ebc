"""A form as it was sent: input kept, secrets not, the fault at its field, and the rest of the page as it was."""

from __future__ import annotations

import pytest

from workers.web.pages.refilling import Fault, refilled

HEAD = '<h1 title="a > b">Service</h1><form method="get" action="/x"><input name="reason" value="page"></form>'
FIELDS = """<input type="hidden" name="csrf" value="own"><input type="hidden" name="how" value="accept">
<label>Reason <input type="text" name="reason" required></label>
<label>Token <input type="password" name="secret"></label>
<select name="to"><option>n1</option><option value="n2" selected>second</option></select>
<label class="choice"><input type="checkbox" name="deep" value="true" checked>deep</label>
<textarea name="labels" rows="2">a:b</textarea>"""
FORM = f'<form method="post" action="/x">{FIELDS}</form>'
PAGE = f'{HEAD}\n<details class="act"><summary>Do</summary>{FORM}</details><p>é</p>'


def again(sent: dict[str, list[str]], *faults: Fault, page: str = PAGE, at: str = "/at", action: str = "/x") -> str:
    found = refilled(page, at, action, sent, faults)
    assert found is not None
    return found


def test_what_was_typed_is_kept_and_what_stands_around_the_form_is_not_touched() -> None:
    page = again({"reason": ['a "b" <c>'], "labels": ["x:y\n<z>"], "to": ["n1"]}, Fault("no", "reason"))
    assert 'name="reason" required="" value="a &quot;b&quot; &lt;c&gt;"' in page
    assert '<textarea name="labels" rows="2">\nx:y\n&lt;z&gt;</textarea>' in page
    assert '<option selected="">n1</option><option value="n2">second</option>' in page
    assert page.startswith(HEAD) and page.endswith("</form></details><p>é</p>")


def test_a_box_that_was_not_ticked_is_not_ticked_again() -> None:
    assert "checked" not in again({"reason": ["x"]}, Fault("no", "reason"))
    assert "checked" in again({"deep": ["true"]}, Fault("no", "reason"))


def test_no_secret_and_nothing_hidden_comes_from_what_was_sent() -> None:
    page = again({"secret": ["bks_secret"], "csrf": ["forged"]}, Fault("no", "secret"))
    assert "bks_secret" not in page and "forged" not in page


def test_the_fault_stands_behind_the_label_of_its_field_which_is_marked_and_in_focus() -> None:
    page = again({"reason": ["x"]}, Fault("data.reason.0: must be longer", "data.reason.0"))
    field = page[page.index("<label>Reason") :]
    assert field.index('aria-invalid="true"') < field.index("autofocus") < field.index("</label>")
    assert '</label><p class="fault" id="fault-2" role="alert">Must be longer</p>' in field
    assert 'aria-describedby="fault-2"' in field


def test_of_several_faults_the_first_field_of_the_page_has_the_focus() -> None:
    page = again({}, Fault("b", "labels"), Fault("a", "reason"))
    assert page.count("autofocus") == 1 and page.count('role="alert"') == 2
    assert "autofocus" in page[page.index('name="reason" required') : page.index("Token")]


def test_what_is_about_no_field_stands_at_the_top_of_the_form_and_says_what_to_do() -> None:
    page = again({}, Fault("it is busy", "", "try again later"))
    form = page[page.rindex("<form") :]
    assert form.index('role="alert"') < form.index('name="csrf"')
    assert "It is busy" in form and "Try again later" in form and form.count("autofocus") == 1


def test_a_fault_is_never_folded_away() -> None:
    assert '<details class="act" open="">' in again({}, Fault("no", "reason"))


def test_a_fold_without_a_fault_is_opened_only_for_what_somebody_changed() -> None:
    fold = (
        '<details class="more"><label><input type="radio" name="how" value="a" checked></label>'
        '<label><input type="radio" name="how" value="b"></label><textarea name="data">{}</textarea></details>'
    )
    page = f'<form method="post" action="/x"><input name="reason">{fold}</form>'
    same = {"reason": ["mine"], "how": ["a"], "data": ["{}"]}
    assert '<details class="more">' in again(same, Fault("no", "reason"), page=page)
    for other in ({"how": ["b"]}, {"data": ["[]"]}):
        assert '<details class="more" open="">' in again(same | other, Fault("no", "reason"), page=page)


def test_what_a_fault_repeats_is_no_markup() -> None:
    page = again({}, Fault("<script>x</script>", "reason"), Fault("<b>", "", "<i>"))
    assert "<script>" not in page and "<b>" not in page and "<i>" not in page


def test_of_two_forms_for_one_address_the_one_that_was_sent_is_filled() -> None:
    other = FIELDS.replace('value="accept"', 'value="force"')
    page = again(
        {"how": ["force"], "reason": ["mine"]},
        Fault("no", "reason"),
        page=PAGE + FORM.replace(FIELDS, other),
    )
    assert page.count('value="mine"') == 1 and page.index('value="mine"') > page.index('value="force"')


def test_a_form_without_an_address_is_its_page_s_own() -> None:
    page = '<form method="post"><input name="reason"></form>'
    assert 'value="mine"' in again({"reason": ["mine"]}, page=page, at="/a%20b?v=1", action="/a b")


@pytest.mark.parametrize("action", ["/other", "/"])
def test_a_page_without_the_form_cannot_show_it(action: str) -> None:
    assert refilled(PAGE, "/at", action, {}, [Fault("no")]) is None
