"""kubectl's JSONPath. Expected is what kubectl 1.32 prints; tests/operator puts some templates to kubectl itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telarchy.cli.jsonpath import PathError
from telarchy.cli.jsonpathreader import read_path, read_template
from telarchy.cli.outputs import columns_of
from telarchy.cli.sorting import in_order
from telarchy.errors import TelarchyError

ATTIC = {
    "kind": "Host",
    "metadata": {"name": "attic", "labels": {"site": "away", "example.org/rack.no": "r1"}},
    "spec": {
        "class": "Server",
        "alwaysOn": False,
        "mediaRoots": [
            {"name": "main", "path": "/srv/attic", "reserve": "50Gi"},
            {"name": "second", "path": "/srv/two", "reserve": "500Mi"},
        ],
        "note": None,
    },
    "status": {
        "free": 10,
        "load": 0.5,
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "Suspended", "status": "False"}],
    },
}
BLACK = {
    "kind": "Host",
    "metadata": {"name": "black", "labels": {"site": "home"}},
    "spec": {"class": "Server", "alwaysOn": True, "mediaRoots": [{"name": "main", "path": "/srv/black"}]},
    "status": {"free": 9, "conditions": [{"type": "Ready", "status": "False"}]},
}
LAPTOP = {"kind": "Host", "metadata": {"name": "laptop"}, "spec": {"class": "Roamer"}, "status": {}}
LIST = {"kind": "List", "items": [ATTIC, BLACK, LAPTOP]}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.items[*].metadata.name}", "attic black laptop"),
        (".metadata.name", ".metadata.name"),
        ("{.kind}{'\\t'}{$.kind}{\"\\n\"}{@.kind}", "List\tList\nList"),
        ("{.items[0].spec.alwaysOn}|{.items[0].status.free}|{.items[0].status.load}", "false|10|0.5"),
        ("{.items[0].spec.note}|{.items[0].nope.nope}|", "null||"),
        ("{.items[1].metadata.labels}", '{"site":"home"}'),
        ("{.items[0].metadata.labels.example\\.org/rack\\.no}", "r1"),
        ("{.items[0].metadata.labels['example\\.org/rack\\.no']}", "r1"),
        ("{.items[0].metadata.labels['example.org/rack.no']}", "r1"),
        ("{.items[*]['metadata.name', 'spec.class']}", "attic black laptop Server Server Roamer"),
        ("{.items[0].metadata['name']}", "attic"),
        (
            '{range .items[*]}{.metadata.name}:{range .spec.mediaRoots[*]} {.path}{end}{"\\n"}{end}.',
            "attic: /srv/attic /srv/two\nblack: /srv/black\nlaptop:\n.",
        ),
        ("{range .items[*]}{$.kind}{end}", "HostHostHost"),
        ("{range .items[*]}{.metadata.name} ", "attic black laptop "),
        ("{range .nope[*]}x{end}y", "y"),
        ('{.items[?(@.metadata.name=="black")].spec.class}', "Server"),
        ("{.items[?(@.metadata.name=='black')].spec.class}", "Server"),
        ("{.items[?(@.spec.class!='Server')].metadata.name}", "laptop"),
        ("{.items[?(@.status.free>9)].metadata.name}", "attic"),
        ("{.items[?(@.status.free <= 9)].metadata.name}", "black"),
        ("{.items[?(@.spec.alwaysOn==true)].metadata.name}", "black"),
        ("{.items[?(@.metadata.labels)].metadata.name}", "attic black"),
        ('{.items[*].status.conditions[?(@.type=="Ready")].status}', "True False"),
        ("{.items[-1].metadata.name}", "laptop"),
        ("{.items[-2:].metadata.name}", "black laptop"),
        ("{.items[0:2].metadata.name}", "attic black"),
        ("{.items[:1].metadata.name}", "attic"),
        ("{.items[::2].metadata.name}", "attic laptop"),
        ("{.items[0,2].metadata.name}", "attic laptop"),
        ("{.items..path}", "/srv/attic /srv/two /srv/black"),
        ("{..['path']}", "/srv/attic /srv/two /srv/black"),
        ("{.items[1].metadata.*}", 'black {"site":"home"}'),
        ("{ .kind }{ range .items[*] }{ .kind }{ end }", "ListHostHostHost"),
        ('{"\\u00e9\\x41"}', "éA"),
        # beyond kubectl
        ('{.items[?(@.status.conditions[?(@.type=="Ready")].status=="True")].metadata.name}', "attic"),
        ('{.items[?(@.spec.class=="Server" && @.spec.alwaysOn==false)].metadata.name}', "attic"),
        ("{.items[?(@.metadata.name=='attic' || @.spec.class=='Roamer')].metadata.name}", "attic laptop"),
    ],
)
def test_what_a_template_prints(template, text):
    assert read_template(template).render(LIST) == text


@pytest.mark.parametrize(
    ("template", "says", "character"),
    [
        ("{.items[0", "`]` is missing", 10),
        ("{.items[x]}", "only an index, a slice, `*` or 'a key' fits here", 9),
        ("{.items[0 1]}", "only an index, a slice, `*` or 'a key' fits here", 11),
        ("{.items[::0]}", "a slice's step is at least 1", 11),
        ("{.items[" + "4" * 5000 + "]}", "this number is too large", 9),
        ("{.items[0:" + "4" * 5000 + "]}", "this number is too large", 9),
        ("{.items[*].metadata.name", "`}` is missing", 25),
        ("{.metadata.name foo}", "this belongs to no path", 17),
        ("ok {metadata.name}", "a path begins with a point: `.metadata`", 5),
        ("{.kind}{end}", "there is no range to end here", 8),
        ("{.items[?(@.kind='x')]}", "a comparison is ==, !=, <, <=, > or >=", 17),
        ("{.items[?(@.kind==x)]}", "a path like @.name, a 'text', a number, true or false is missing", 19),
        ("{.items[?(@.kind=='x']}", "`)` is missing", 22),
        ("{.items[?(@.kind=='x)]}", "the quote that begins here does not end", 19),
        ("{'a}", "the quote that begins here does not end", 2),
        ("{'\\q'}", "`\\q` means nothing", 3),
        ("{....a}", "`..` cannot follow `..`", 4),
        ("{.a.}", "a name is missing", 5),
        ("{.items" + "[?(@" * 60, "this is nested too deeply", None),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(template, says, character):
    with pytest.raises(PathError) as told:
        read_template(template)
    sentence, line, mark = str(told.value).split("\n")
    assert sentence.startswith(f"{says}, at character ")
    assert line == f"  {template}"
    if character is not None:
        assert sentence == f"{says}, at character {character}:"
        assert mark.index("^") - 2 == character - 1


def test_the_place_is_shown_in_its_own_line():
    with pytest.raises(PathError) as told:
        read_template("{.kind}\n{.items[}\n{.kind}")
    assert str(told.value).endswith("at character 17:\n  {.items[}\n          ^")


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{.items[9]}", "the list has 3 items, and none is at 9"),
        ("{.items[-4]}", "the list has 3 items, and none is at -1"),
        ("{.items[0:9]}", "the list has 3 items, and none is at 8"),
        ("{.kind[0]}", "List is no list"),
        ("{.items[0].metadata[?(@.x)]}", "a map is no list"),
        ("{.items[?(@.status.free>'x')]}", "10 and x cannot be put in order"),
        ("{.items[?(@.spec.mediaRoots[*].name=='x')]}", "only one value can be compared"),
    ],
)
def test_what_does_not_fit_the_document_is_told(template, says):
    with pytest.raises(PathError) as told:
        read_template(template).render(LIST)
    assert str(told.value).startswith(says)


@pytest.mark.parametrize(
    "text", [".spec.class", "spec.class", "{.spec.class}", " { spec.class } ", "$.spec.class"]
)
def test_one_path_however_it_is_written(text):
    assert read_path(text).values(ATTIC) == ["Server"]


@pytest.mark.parametrize("text", ["", "{.a}{.b}", ".a .b", "{.a", ".a}"])
def test_what_is_not_one_path(text):
    with pytest.raises(PathError):
        read_path(text)


def test_commas_in_brackets_belong_to_the_path():
    name, either = columns_of("NAME:.metadata.name,EITHER:.spec['class','x']")
    assert (name.cell(ATTIC), either.cell(ATTIC), either.heading) == ("attic", "Server", "EITHER")


def test_cells_of_columns():
    roots, note, nope, labels = columns_of(
        "R:.spec.mediaRoots[*].name,N:.spec.note,X:.nope,L:.metadata.labels.site"
    )
    assert [one.cell(ATTIC) for one in (roots, note, nope, labels)] == [
        "main,second",
        "<nil>",
        "<none>",
        "away",
    ]


def names(path, *values):
    resources = [
        {"kind": "Host", "metadata": {"name": str(number)}, "status": {} if value is None else {"x": value}}
        for number, value in enumerate(values)
    ]
    return "".join(one["metadata"]["name"] for one in in_order(resources, read_path(path), path))


@pytest.mark.parametrize(
    ("values", "order"),
    [
        ((10, 9, None, 2.5), "2310"),
        (("1Ti", "500Gi", "1024"), "210"),
        (("0.95", "0.5", "1"), "102"),
        (("30d", "1h30m", "90s"), "210"),
        (("host10", "host9", None), "201"),
        (("b", "10", "a"), "120"),
        ((True, False, None), "210"),
        (("inf", "1", "nan"), "102"),
        (("same", "same", "same"), "012"),
    ],
)
def test_the_order_of_values(values, order):
    assert names(".status.x", *values) == order


def test_what_cannot_be_put_in_order():
    with pytest.raises(TelarchyError, match=r"none of these resources has a field \.nope"):
        names(".nope", 1, 2)
    with pytest.raises(TelarchyError, match=r"\.status\.x of host/1 is a list; name a field in it"):
        names(".status.x", None, [1])
    assert names(".nope", 1) == "0"


SCRAPS = st.sampled_from(
    [
        "{",
        "}",
        "range ",
        "end",
        ".items",
        ".metadata",
        ".name",
        "[",
        "]",
        "*",
        "[*]",
        "..",
        "[?(",
        "@",
        "==",
        ")",
        ")]",
    ]
    + ["'", '"', "\\", "a", "0", "-1", ":", ",", "$", " ", "\n", "true", "<", "&&", "||", "é", "."]
)


@given(st.lists(SCRAPS, max_size=25).map("".join))
def test_whatever_is_typed_is_read_or_refused_with_a_place(text):
    for read in (read_template, read_path):
        try:
            found = read(text)
        except PathError as error:
            assert "at character " in str(error)
            continue
        try:
            assert isinstance(found.render(LIST) if read is read_template else found.values(LIST), str | list)
        except PathError as error:
            assert "at character " in str(error)
