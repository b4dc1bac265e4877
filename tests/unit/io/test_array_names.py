"""What names tell: by whole words, and by the noun."""

from __future__ import annotations

import pytest

from l2cli.io.array_names import (
    means_embedding,
    means_other,
    means_text,
    mentions_embedding,
    words_of,
)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("image_emb", ["image", "emb"]),
        ("obsm/textEmbedding", ["text", "embedding"]),
        ("emb.0", ["emb"]),
        ("HTMLVectors2", ["html", "vectors"]),
        ("text-embedding-3-large-1536-embedding", ["text", "embedding", "large", "embedding"]),
    ],
)
def test_words(name: str, words: list[str]) -> None:
    assert words_of(name) == words


@pytest.mark.parametrize(
    "name",
    [
        *("embedding", "img_emb", "emb.0", "textEmbedding", "emb_f16", "embeddings_int8"),
        *("vec_768d", "embedding_matrix"),
    ],
)
def test_names_of_embeddings(name: str) -> None:
    assert means_embedding(name)
    assert mentions_embedding(name)
    assert not means_other(name)


@pytest.mark.parametrize("name", ["ensemble_logits", "membership", "december", "eigenvectorial"])
def test_letters_within_a_word_mean_nothing(name: str) -> None:
    assert not mentions_embedding(name)


@pytest.mark.parametrize("name", ["embedding_model", "vector_id", "embedding_source"])
def test_what_is_about_an_embedding_is_none(name: str) -> None:
    assert mentions_embedding(name)
    assert not means_embedding(name)


@pytest.mark.parametrize(
    "name",
    [
        *("bbox", "bbox_xyxy", "topScores", "lat_lon", "rgb", "prices", "image", "embedding_norm"),
        *("mel", "mfcc_13", "kmeans_centroids", "pq_codebook", "val_losses", "similarity_matrix"),
        *("depth_map", "gt_dist"),
    ],
)
def test_names_of_other_things(name: str) -> None:
    assert means_other(name)


@pytest.mark.parametrize("name", ["image_features", "X_pca", "train", "features", "img_emb", "x"])
def test_names_that_leave_it_open(name: str) -> None:
    assert not means_other(name)


def test_names_of_text() -> None:
    assert means_text("captions")
    assert means_text("image_urls")
    assert not means_text("features")
