"""`get` with the options that kubectl users type without thinking."""

import json
import signal

import pytest

from telarchy.cli.table import ELASTIC_LEAST, widths_of
from tests.unit.cli.calling import completed, watcher
from tests.unit.cli.smallfleet import MANIFESTS

ELSEWHERE = MANIFESTS.replace("name: black", "name: black, namespace: cabin").partition("---")[0]


@pytest.fixture
def applied(telarchy, fleet):
    """The small fleet in the store, and the command line."""
    assert telarchy("apply", "-f", fleet).code == 0
    return telarchy


def lines(ended):
    assert ended.code == 0, ended.err
    return [line.split() for line in ended.out.splitlines()]


def test_on_a_narrow_terminal_only_what_is_long_gives_way():
    heading, row = ["NAME", "STATUS", "AGE"], ["a" * 20, "on this machine", "3m"]
    assert widths_of([heading, row], room=30) == [20, 15, 3]
    assert widths_of([heading, ["a" * 20, "b" * 40, "3m"]], room=30) == [20, ELASTIC_LEAST, 3]
    assert widths_of([heading, ["a" * 20, "b" * 40, "3m"]], room=60) == [20, 31, 3]


class TestOutput:
    def test_jsonpath_prints_no_more_than_it_is_told(self, applied):
        assert applied("get", "hosts", "-o", "jsonpath={.items[*].metadata.name}").out == "attic black"
        assert applied("get", "ho/black", "-o", 'jsonpath={.spec.class}{"\\n"}').out == "Server\n"
        assert applied("get", "hosts", "-o", "jsonpath-as-json={.items[*].kind}").out == (
            '[\n    "Host",\n    "Host"\n]\n'
        )

    def test_jsonpath_of_nothing(self, applied):
        ended = applied("get", "fleets", "-o", "jsonpath={.items[*].metadata.name}.")
        assert (ended.code, ended.out) == (0, ".")
        assert "No resources found" not in ended.err

    def test_a_template_in_a_file(self, applied, tmp_path):
        (tmp_path / "names").write_text('{range .items[*]}{.metadata.name}{"\\n"}{end}')
        assert applied("get", "hosts", "-o", f"jsonpath-file={tmp_path / 'names'}").out == "attic\nblack\n"
        ended = applied("get", "hosts", "-o", f"jsonpath-file={tmp_path / 'none'}")
        assert ended.code == 1
        assert f"telarchy: {tmp_path / 'none'} cannot be read: no such file or directory" in ended.err
        (tmp_path / "names").write_bytes(b"\xff")
        assert "is no text in UTF-8" in applied("get", "ho", "-o", f"jsonpath-file={tmp_path / 'names'}").err

    def test_custom_columns(self, applied, tmp_path):
        columns = "custom-columns=NAME:.metadata.name,ROOT:.spec.mediaRoots[0].path,NOPE:.nope"
        assert lines(applied("get", "hosts", "-o", columns)) == [
            ["NAME", "ROOT", "NOPE"],
            ["attic", "/srv/attic", "<none>"],
            ["black", "/srv/black", "<none>"],
        ]
        assert lines(applied("get", "ho/black", "-o", columns, "--no-headers"))[0][0] == "black"
        assert lines(applied("get", "all", "-o", "custom-columns=K:kind")) == [
            ["K"],
            ["Host"],
            ["Host"],
            ["CustodyFloor"],
        ]
        (tmp_path / "columns").write_text("NAME CLASS\nmetadata.name {.spec.class}\n")
        assert lines(applied("get", "ho", "-o", f"custom-columns-file={tmp_path / 'columns'}"))[1] == [
            "attic",
            "Server",
        ]
        assert applied("get", "fleets", "-o", columns).out.split() == ["NAME", "ROOT", "NOPE"]
        assert applied("get", "fleets", "-o", columns, "--no-headers").out == ""

    @pytest.mark.parametrize(
        ("output", "says"),
        [
            ("jsonpath={.items[0", "jsonpath: `]` is missing, at character 10:\n  {.items[0\n           ^\n"),
            ("jsonpath", "jsonpath takes a template: jsonpath='{.items[*].metadata.name}'"),
            ("custom-columns=NAME", "custom-columns: `NAME` is no HEADING:.path"),
            ("custom-columns=N:.a[", "custom-columns: only an index, a slice"),
            ("custom-columns=", "takes headings and paths: custom-columns=NAME:.metadata.name,"),
            ("go-template={{.kind}}", "go-template is not known here; jsonpath='{…}' is"),
            ("jsn", "'jsn' is none of wide, json, yaml, name, jsonpath=…"),
        ],
    )
    def test_what_is_no_output(self, applied, output, says):
        ended = applied("get", "hosts", "-o", output)
        assert (ended.code, ended.out) == (64, "")
        assert says in ended.err

    def test_a_template_that_does_not_fit_is_an_error_and_no_bug(self, applied):
        ended = applied("get", "hosts", "-o", "jsonpath={.items[5]}")
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.endswith(
            "telarchy: the list has 2 items, and none is at 5, at character 9:\n  {.items[5]}\n          ^\n"
        )

    @pytest.mark.parametrize("form", ["jsonpath={.kind}", "custom-columns=N:.kind", "json"])
    def test_one_that_is_not_there_is_an_error_in_every_form(self, applied, form):
        ended = applied("get", "host", "nope", "-o", form)
        assert (ended.code, ended.out) == (1, "")
        assert "telarchy: host/nope not found" in ended.err


class TestOrder:
    @pytest.mark.parametrize(
        "path", [".metadata.labels.site", "metadata.labels.site", "{.metadata.labels.site}"]
    )
    def test_every_form_is_in_this_order(self, applied, fleet, path):
        text = MANIFESTS.replace("labels: {site: home}", "labels: {site: abroad}")
        (fleet / "fleet.yaml").write_text(text)
        applied("apply", "-f", fleet)
        words = ("get", "hosts", "--sort-by", path)
        for form in ((), ("-o", "wide"), ("-o", "custom-columns=N:.metadata.name")):
            assert [row[0] for row in lines(applied(*words, *form))[1:]] == ["black", "attic"]
        found = json.loads(applied(*words, "-o", "json").out)["items"]
        assert [one["metadata"]["name"] for one in found] == ["black", "attic"]
        assert applied(*words, "-o", "jsonpath={.items[*].metadata.name}").out == "black attic"
        assert applied(*words, "-o", "name").out == "host/black\nhost/attic\n"

    def test_what_no_resource_has(self, applied):
        ended = applied("get", "hosts", "--sort-by", ".spec.nope")
        assert (ended.code, ended.out) == (1, "")
        assert "telarchy: --sort-by: none of these resources has a field .spec.nope" in ended.err
        assert applied("get", "host", "black", "--sort-by", ".spec.nope").code == 0
        assert applied("get", "fleets", "--sort-by", ".spec.nope").code == 0

    def test_a_path_that_cannot_be_read(self, applied):
        ended = applied("get", "hosts", "--sort-by", ".items[")
        assert ended.code == 64 and "--sort-by: only an index" in ended.err


class TestLabels:
    def test_show_labels_and_label_columns(self, applied):
        head, attic, black = lines(applied("get", "hosts", "--show-labels", "-L", "site,example.org/rack"))
        assert head[-3:] == ["SITE", "RACK", "LABELS"]
        assert attic[-2:] == ["away", "site=away"] and black[-1] == "site=home"
        head, floor = lines(applied("get", "floors", "--show-labels", "-L", "site", "-L", "site"))
        assert head[-2:] == ["SITE", "LABELS"] and floor[-1] == "<none>"

    def test_labels_are_for_tables(self, applied):
        ended = applied("get", "hosts", "--show-labels", "-o", "json")
        assert ended.code == 64 and "--show-labels is for tables" in ended.err


class TestNamespaces:
    @pytest.fixture(autouse=True)
    def two_fleets(self, applied, tmp_path):
        (tmp_path / "elsewhere.yaml").write_text(ELSEWHERE)
        assert applied("apply", "-f", tmp_path / "elsewhere.yaml").code == 0

    @pytest.mark.parametrize("words", [("-A",), ("--all-namespaces",), ("-A", "-n", "other")])
    def test_all_of_them(self, telarchy, words):
        head, *rows = lines(telarchy("get", "hosts", *words))
        assert head[:2] == ["NAMESPACE", "NAME"]
        assert [row[:2] for row in rows] == [["cabin", "black"], ["default", "attic"], ["default", "black"]]

    def test_documents_and_names(self, telarchy):
        assert telarchy("get", "ho", "-A", "-o", "name").out == "host/black\nhost/attic\nhost/black\n"
        found = json.loads(telarchy("get", "ho", "-A", "-o", "json").out)["items"]
        assert [one["metadata"]["namespace"] for one in found] == ["cabin", "default", "default"]

    def test_no_name_is_one_of_all_namespaces(self, telarchy):
        ended = telarchy("get", "host", "black", "-A")
        assert ended.code == 64 and "name one with -n" in ended.err

    def test_nothing_in_any_of_them(self, telarchy):
        assert telarchy("get", "fleets", "-A").err.endswith("No resources found.\n")

    def test_describe_and_events(self, telarchy):
        shown = telarchy("describe", "hosts", "-A").out
        assert shown.count("Name:         black") == 2 and "Namespace:    cabin" in shown
        telarchy("run", "--until-settled", "--timeout", "20s")
        head, *rows = lines(telarchy("events", "-A"))
        assert head[0] == "NAMESPACE" and rows and {row[0] for row in rows} == {"default"}


class TestHabits:
    def test_what_may_not_be_there(self, applied):
        words = ("get", "host", "nope", "--ignore-not-found")
        for form in ((), ("-o", "json"), ("-o", "jsonpath={.kind}")):
            ended = applied(*words, *form)
            assert (ended.code, ended.out) == (0, "")
            assert "nope" not in ended.err and "No resources" not in ended.err
        assert applied(*words, "black", "-o", "name").out == "host/black\n"

    def test_options_before_the_verb(self, applied, tmp_path):
        assert applied("-n", "default", "get", "hosts", "-o", "name").out == "host/attic\nhost/black\n"
        assert applied("--namespace=other", "get", "hosts", "-o", "name").out == ""
        empty = applied("--state", tmp_path / "other", "get", "hosts", "-o", "name")
        assert (empty.code, empty.out) == (0, "")

    @pytest.mark.parametrize(
        "words",
        [
            ("-o=name",),
            ("-o=custom-columns=N:.metadata.name", "--no-headers=true"),
            ("-oname", "-w=false", "--watch=false"),
            ("-o=name", "-n=default"),
        ],
    )
    def test_values_behind_an_equals_sign(self, applied, words):
        ended = applied("get", "hosts", "-l=site=home", *words)
        assert ended.code == 0 and ended.out.split("/")[-1] == "black\n"

    def test_what_is_named_twice_is_shown_once(self, applied):
        for words in (("hosts", "black", "black"), ("host/black", "ho/black")):
            assert applied("get", *words, "-o", "name").out == "host/black\n"

    def test_what_comes_after_two_dashes_is_left_alone(self, telarchy):
        assert "there is no kind `-o=json`" in telarchy("get", "--", "-o=json").err

    def test_several_kinds_in_one_call(self, applied):
        shown = applied("get", "hosts,custodyfloors").out
        hosts, floors = shown.split("\n\n")
        assert hosts.splitlines()[1].startswith("host/attic ") and floors.splitlines()[1].startswith(
            "custodyfloor/films "
        )
        assert len(applied("get", "hosts,custodyfloors", "--no-headers").out.split("\n\n")) == 2

    def test_a_watch_prints_templates_and_columns_of_each(self, applied):
        with watcher("get", "hosts", "-w", "-o", 'jsonpath={.metadata.name}{"\\n"}') as watch:
            assert [watch.stdout.readline() for _ in range(2)] == ["attic\n", "black\n"]
            applied("delete", "host/black")
            assert watch.stderr.readline().startswith("(from the store")
            assert watch.stderr.readline() == "host/black deleted\n"
            watch.send_signal(signal.SIGINT)
            assert watch.wait() == 130
        with watcher("get", "hosts", "-w", "-o", "custom-columns=N:.metadata.name") as watch:
            assert [watch.stdout.readline() for _ in range(2)] == ["N\n", "attic\n"]
            watch.kill()

    def test_a_watched_row_that_grew_is_not_cut_in_a_pipe(self, applied, fleet):
        columns = "custom-columns=R:.spec.mediaRoots[0].path,N:.metadata.name"
        with watcher("get", "host", "black", "-w", "--no-headers", "-o", columns) as watch:
            assert watch.stdout.readline() == "/srv/black   black\n"
            longer = (fleet / "fleet.yaml").read_text().replace("/srv/black", "/srv/a/much/longer/path")
            (fleet / "fleet.yaml").write_text(longer)
            applied("apply", "-f", fleet)
            assert watch.stdout.readline() == "/srv/a/much/longer/path   black\n"
            watch.kill()


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        ("telarchy get hosts -o j", ["json", "jsonpath=", "jsonpath-file=", "jsonpath-as-json="]),
        ("telarchy get hosts -o custom", ["custom-columns=", "custom-columns-file="]),
        ("telarchy get hosts -L s", ["site"]),
        ("telarchy get hosts -L x,s", ["x,site"]),
        ("telarchy get hosts --sort-by .metadata.n", [".metadata.name"]),
        ("telarchy get floors --sort-by .status.me", [".status.met"]),
        ("telarchy get hosts,cus", ["hosts,custodyfloors"]),
        ("telarchy get hosts -n cab", ["cabin"]),
        ("telarchy get -n cabin hosts ", ["black"]),
        ("telarchy -n cabin get hosts ", ["black"]),
        ("telarchy get hosts black ", ["attic"]),
    ],
)
def test_the_shell_completes_them(applied, tmp_path, words, offers):
    (tmp_path / "elsewhere.yaml").write_text(ELSEWHERE)
    applied("apply", "-f", tmp_path / "elsewhere.yaml")
    assert completed(words) == offers
