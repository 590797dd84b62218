import ctypes
import random
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from models import gguf
from models.errors import BadArtifact, StoreError
from models.ggml import TENSOR_TYPES, TEXT_ARCHITECTURES
from tests.models import tiny_gguf

LIBRARIES = Path(str(find_spec("llama_cpp").origin)).parent / "lib"  # type: ignore[union-attr]


def read(folder: Path, content: bytes) -> gguf.GgufHeader:
    path = folder / "tiny.gguf"
    path.write_bytes(content)
    return gguf.read(path)


def test_header_says_what_the_file_says(tmp_path: Path) -> None:
    header = read(tmp_path, tiny_gguf.gguf())
    assert (header.version, header.architecture, header.name, header.licence) == (3, "llama", "Tiny", "MIT")
    assert (header.context_tokens, header.chat_template) == (512, "{{ messages }}")
    assert (header.parameters, header.tensor_types) == (64, {"f32": 2})


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = tiny_gguf.gguf()
    for length in range(len(whole)):
        with pytest.raises(BadArtifact):
            read(tmp_path, whole[:length])


def test_flipped_bytes_are_refused_or_read_but_never_crash(tmp_path: Path) -> None:
    draw, whole = random.Random(4), tiny_gguf.gguf()
    for _ in range(600):
        damaged = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            damaged[draw.randrange(len(whole) - 256)] = draw.randrange(256)
        try:
            read(tmp_path, bytes(damaged))
        except BadArtifact:
            continue


WRONG = {
    "another magic": tiny_gguf.gguf(magic=b"GGML"),
    "empty": b"",
    "a future version": tiny_gguf.gguf(version=9),
    "billions of tensors": tiny_gguf.gguf(counts=(2**60, 6)),
    "billions of keys": tiny_gguf.gguf(counts=(2, 2**60)),
    "no tensors": tiny_gguf.gguf(tensors=[]),
    "an architecture that is no writer": tiny_gguf.gguf({"general.architecture": "bert"}),
    "no architecture": tiny_gguf.gguf({"general.name": "x"}),
    "an unknown tensor type": tiny_gguf.gguf(tensors=[tiny_gguf.tensor("a", [32], kind=99)]),
    "a removed tensor type": tiny_gguf.gguf(tensors=[tiny_gguf.tensor("a", [32], kind=4)]),
    "too many dimensions": tiny_gguf.gguf(tensors=[tiny_gguf.tensor("a", [2, 2, 2, 2, 2])]),
    "a dimension of zero": tiny_gguf.gguf(tensors=[tiny_gguf.tensor("a", [0])]),
    "a block cut in two": tiny_gguf.gguf(tensors=[tiny_gguf.tensor("a", [33], kind=8)]),
    "a tensor beyond the end": tiny_gguf.gguf(tensors=[tiny_gguf.tensor("a", [2**20, 2**20])]),
    "an offset beyond the end": tiny_gguf.gguf(tensors=[tiny_gguf.tensor("a", [32], offset=2**63)]),
    "overlapping tensors": tiny_gguf.gguf(tensors=[tiny_gguf.tensor("a", [32]), tiny_gguf.tensor("b", [32])]),
    "one tensor twice": tiny_gguf.gguf(tensors=[tiny_gguf.tensor("a", [32]), tiny_gguf.tensor("a", [32], offset=128)]),
    "a strange alignment": tiny_gguf.gguf({**tiny_gguf.KEYS, "general.alignment": 24}),
}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG.keys())
def test_wrong_file_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadArtifact) as caught:
        read(tmp_path, content)
    assert "tiny.gguf" in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 250


def test_missing_file_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="can't be read"):
        gguf.read(tmp_path / "none.gguf")


@pytest.mark.skipif(not list(LIBRARIES.glob("libggml-base.so")), reason="the library has another name here")
def test_tensor_types_are_those_of_the_pinned_library() -> None:
    library = ctypes.CDLL(str(LIBRARIES / "libggml-base.so"))
    library.ggml_blck_size.restype = ctypes.c_int64
    library.ggml_type_size.restype = ctypes.c_size_t
    library.ggml_type_name.restype = ctypes.c_char_p
    for number, (name, block, size) in TENSOR_TYPES.items():
        assert library.ggml_type_name(number).decode() == name
        assert (library.ggml_blck_size(number), library.ggml_type_size(number)) == (block, size)


@pytest.mark.skipif(not list(LIBRARIES.glob("libllama.so")), reason="the library has another name here")
def test_architectures_are_known_to_the_pinned_library() -> None:
    content = (LIBRARIES / "libllama.so").read_bytes()
    assert [name for name in sorted(TEXT_ARCHITECTURES) if name.encode() + b"\0" not in content] == []


SHAPE = {"llama.block_count": 4, "llama.embedding_length": 64, "llama.attention.head_count": 8}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, 4 * 8 * (8 + 8) * 2),
        ({"llama.attention.head_count_kv": 2}, 4 * 2 * (8 + 8) * 2),
        ({"llama.attention.head_count_kv": 2, "llama.attention.key_length": 16}, 4 * 2 * (16 + 8) * 2),
        ({"llama.attention.head_count_kv": [2, 0, 2, 0]}, 2 * 2 * (8 + 8) * 2),
    ],
    ids=["each head", "fewer keys than heads", "heads of their own size", "layers that differ"],
)
def test_state_of_a_token_is_a_key_and_a_value_for_each_head_of_each_layer(
    tmp_path: Path, more: dict[str, int | list[int]], expected: int
) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny_gguf.gguf({**tiny_gguf.KEYS, **SHAPE, **more}))
    assert gguf.state_token_bytes(path) == expected
    gguf.read(path)


def test_a_model_without_attention_has_no_state_that_grows(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny_gguf.gguf())
    assert gguf.state_token_bytes(path) == 0


def test_a_damaged_file_has_no_state_to_speak_of(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny_gguf.gguf({**tiny_gguf.KEYS, **SHAPE})[:90])
    with pytest.raises(BadArtifact):
        gguf.state_token_bytes(path)


def test_a_file_that_becomes_shorter_while_it_is_read_is_damaged(tmp_path: Path) -> None:
    """Also a medium that is pulled out must not end the process, as reading memory that is mapped from it would."""
    path = tmp_path / "x.gguf"
    path.write_bytes(tiny_gguf.gguf({**tiny_gguf.KEYS, "general.name": "long " * 100_000}))
    program = (
        "import os, sys; from pathlib import Path; from models import gguf; from models.errors import BadArtifact\n"
        "with gguf._opened(Path(sys.argv[1])) as cursor:\n"
        "    os.truncate(sys.argv[1], 8)\n"
        "    try: gguf._parse(cursor)\n"
        "    except BadArtifact as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (
        0,
        "x.gguf is damaged or cut short (its header runs past the end); fetch it again.\n",
    )
