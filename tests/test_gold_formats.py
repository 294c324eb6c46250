"""Which reader a file gets: by its ending, by its first row, or by name."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from onegen_el.errors import InputError
from onegen_el.gold import FORMATS, GoldDocument, GoldMention, read_gold

TEXT = "Ada met Bob"
ELEVANT = json.dumps({"id": "d", "text": TEXT, "labels": [{"span": [0, 3], "entity_id": "Q7259"}]})
LINKED = json.dumps({"id": "d", "text": TEXT, "mentions": [{"start": 0, "end": 3, "entity": "Q7259"}]})
AIDA = "-DOCSTART- (d)\nAda\tB\tAda\tAda_Lovelace\thttp://en.wikipedia.org/wiki/Ada_Lovelace\t974\t/m/0gyj\nmet\nBob\n"
CONLLU = "# newdoc id = d\n" + "".join(
    f"{number}\t{form}\t_\tX\t_\t_\t_\t_\t_\t{misc}\n"
    for number, form, misc in [(1, "Ada", "NER=B-PER|NEL=Q7259"), (2, "met", "_"), (3, "Bob", "_")]
)
NIF = """@prefix nif: <http://persistence.uni-leipzig.org/nlp2rdf/ontologies/nif-core#> .
<urn:x:d#char=0,11> a nif:Context ; nif:isString "Ada met Bob" .
<urn:x:d#char=0,3> nif:referenceContext <urn:x:d#char=0,11> ; nif:beginIndex 0 ; nif:endIndex 3 ;
  <http://www.w3.org/2005/11/its/rdf#taIdentRef> <http://www.wikidata.org/entity/Q7259> .
"""
HIPE = (
    "TOKEN\tNE-COARSE-LIT\tNEL-LIT\tMISC\n# hipe2022:document_id = d\n"
    "Ada\tB-pers\tQ7259\t_\nmet\tO\t_\t_\nBob\tO\t_\t_\n"
)
# Its text is written by `fishing_texts`.
FISHING = """<x.entityAnnotation><document docName="d"><annotation><wikidataId>Q7259</wikidataId>
<offset>0</offset><length>3</length></annotation></document></x.entityAnnotation>
"""
REFERENCE = json.dumps(
    {
        "id": "d",
        "messages": [
            {"role": "assistant", "content": "<MENTION>Ada</MENTION>[LK] met Bob", "positive": [["Q7259"]]}
        ],
    }
)
SAMPLES = [
    ("elevant", "a.benchmark.jsonl", ELEVANT),
    ("elevant", "a.json", ELEVANT),
    ("linked", "a.jsonl", "\n\n" + LINKED),
    ("reference", "train.jsonl", REFERENCE),
    ("aida", "a.tsv", AIDA),
    ("aida", "noending", "\ufeff" + AIDA),
    ("conllu", "a.conllu", CONLLU),
    ("conllu", "a.txt", CONLLU),
    ("conllu", "b.txt", CONLLU.partition("\n")[2]),
    ("hipe", "a.tsv", HIPE),
    ("hipe", "noending", "\ufeff" + HIPE),
    ("fishing", "a.xml", FISHING),
    ("fishing", "a.txt", FISHING),
    ("fishing", "b.txt", '<?xml version="1.0"?>\n' + FISHING),
    ("nif", "a.ttl", "# a comment first\n" + NIF),
    ("nif", "a.txt", NIF),
]


def same(document: GoldDocument, format: str) -> bool:
    entity = "enwiki:Ada Lovelace" if format == "aida" else "Q7259"
    return document.text == TEXT and document.mentions == (GoldMention(0, 3, entity),)


@pytest.fixture(autouse=True)
def fishing_texts(tmp_path: Path) -> None:
    """The texts of FISHING and of the example in the docs."""
    (tmp_path / "RawText").mkdir()
    (tmp_path / "RawText" / "d").write_text(TEXT)
    (tmp_path / "RawText" / "Ulm.txt").write_text("Ann Quill left Ulm.\n")


@pytest.mark.parametrize(("format", "name", "content"), SAMPLES)
@pytest.mark.parametrize("packed", [False, True])
def test_formats_are_told_by_name_and_first_row(
    tmp_path: Path, format: str, name: str, content: str, packed: bool
) -> None:
    path = tmp_path / (name + ".gz" if packed else name)
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    (told,) = read_gold(path)
    (named,) = read_gold(str(path), format)
    assert told == named
    assert same(told, format)


def test_the_samples_hold_every_format() -> None:
    assert {format for format, _, _ in SAMPLES} == set(FORMATS)


def test_only_the_head_is_read_to_tell_the_format(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(ELEVANT.encode() + b"\n{broken\n")
    documents = read_gold(path)
    assert next(documents).id == "d"
    with pytest.raises(InputError, match=r"a\.jsonl, line 2: not an ELEVANT row"):
        next(documents)


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        ("", "nothing"),
        ("{not json}", "not json"),
        ('{"sentence": "x"}', "sentence"),
        ("Ada B-PER\n", "Ada B-PER"),
        ("TOKEN" + "\tX" * 9, "TOKEN"),
        ("[1, 2]", r"\[1, 2\]"),
    ],
)
def test_what_cannot_be_told_is_refused_at_once(tmp_path: Path, content: str, seen: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match=rf"a\.jsonl: cannot tell the format.*{seen}.*{', '.join(FORMATS)}"):
        read_gold(path)


def test_unknown_names_and_missing_files_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(ELEVANT)
    with pytest.raises(InputError, match=rf"unknown format 'conll'; .*{', '.join(FORMATS)}, or auto"):
        read_gold(path, "conll")
    for format in ("auto", "nif", "aida"):
        with pytest.raises(InputError, match=r"none\.ttl\.x: no such corpus file"):
            read_gold(tmp_path / "none.ttl.x", format)


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_not_utf8_or_cut_off_is_named(tmp_path: Path, format: str) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b'\xff"\n')
    with pytest.raises(InputError, match=r"a\.bin, line 1: "):
        list(read_gold(path, format))
    content = next(content for name, _, content in SAMPLES if name == format)
    packed = tmp_path / "cut.gz"
    packed.write_bytes(gzip.compress(content.encode())[:-10])
    with pytest.raises(InputError, match=r"cut\.gz.*: cannot be read"):
        list(read_gold(packed, format))


@pytest.mark.parametrize("format", ["aida", "conllu", "hipe"])
def test_documents_come_before_the_file_is_read(tmp_path: Path, format: str) -> None:
    content = next(content for name, _, content in SAMPLES if name == format)
    path = tmp_path / "a.txt"
    path.write_bytes(content.encode() * 2 + b"\xff")
    assert same(next(read_gold(path, format)), format)


DOCS = Path(__file__).parent.parent / "docs" / "data-formats.md"
EXAMPLES = {
    "linked": [["Q7259", "Q84"], [None], ["enwiki:Paris Saint-Germain FC"], ["Q3012"], []],
    "elevant": [["Q7259", "Q84"], [None], [None], ["Q3012"], []],
    "aida": [[None, "enwiki:Malmö"]],
    "nif": [["enwiki:London"]],
    "conllu": [["enwiki:Ada Lovelace", "enwiki:London"], ["Q7259", "Q84"]],
    "hipe": [["Q7259", None]],
    "fishing": [[None, "enwiki:Ulm"]],
    "reference": [["Q7259"], [None], []],
}


@pytest.mark.parametrize("format", FORMATS)
def test_the_examples_of_the_docs_are_read(tmp_path: Path, format: str) -> None:
    if format == "nif":
        pytest.importorskip("pyoxigraph")
    section = DOCS.read_text("utf-8").partition(f"\n## `{format}`")[2].partition("\n## ")[0]
    documents = []
    for block in re.findall(r"```\w+\n(.*?)```", section, re.DOTALL):
        if '"uid"' in block:
            continue
        (tmp_path / "example").write_text(block, "utf-8")
        assert list(read_gold(tmp_path / "example")) == list(read_gold(tmp_path / "example", format))
        documents += read_gold(tmp_path / "example")
    assert [[mention.entity for mention in document.mentions] for document in documents] == EXAMPLES[format]


def test_importing_is_light() -> None:
    code = (
        "import sys, onegen_el.gold; sys.exit(any(name in sys.modules for name in ('pyoxigraph', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
