"""Language: Hugging Face's models and batches, characters, tokens with padding."""

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

import tutorial as tl

from .situation import Case, situation


class Rows(Dataset):
    """Samples as dicts of tensors."""

    def __init__(self, **columns: torch.Tensor) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        return {name: column[i] for name, column in self.columns.items()}


def texts(label: str = "labels", samples: int = 8) -> Rows:
    """Tokens, their masks, a class for each."""
    mask = torch.ones(samples, 6, dtype=torch.long)
    mask[::2, 4:] = 0
    tokens = torch.randint(1, 30, (samples, 6))
    return Rows(input_ids=tokens, attention_mask=mask, **{label: torch.arange(samples) % 3})


def bert(**options: Any) -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 32, "vocab_size": 30, "max_position_embeddings": 8}
    return BertForSequenceClassification(BertConfig(**sizes, num_labels=3, **options))


def gpt2(**options: Any) -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "vocab_size": 30, "n_positions": 8}
    tokens = {"bos_token_id": 0, "eos_token_id": 0}
    return GPT2LMHeadModel(GPT2Config(**sizes, **tokens, **options))


def adamw(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(network.parameters(), lr=1e-3)


def own_loss(network, loss, batch):
    """The network computes its loss itself, from the labels in the batch."""
    return network(**batch)["loss"]


def inputs_of(batch):
    """A batch without its labels."""
    return {key: value for key, value in batch.items() if key not in ("labels", "label")}


def outputs(network, batch):
    """Where nothing is learned, the network is given no labels, and gives no loss."""
    return list(network(**inputs_of(batch)).values())


def size(batch):
    return len(next(iter(batch.values())))


def the_loss(loss, *_logits_and_more):
    return loss


@situation(6, "HF BertForSequenceClassification, the model's own loss")
def bert_own_loss() -> Case:
    network = bert()
    given = {"step": own_loss, "size": size, "predict": outputs}
    return Case(network, the_loss, texts(), adamw(network), **given)


def only_the_loss(loss):
    return loss


@situation(6, "the same, and the loss names the one output that it takes")
def bert_named_loss() -> Case:
    network = bert()
    given = {"step": own_loss, "size": size, "predict": outputs}
    return Case(network, only_the_loss, texts(), adamw(network), **given)


def logits_step(network, loss, batch):
    labels = batch.get("labels", batch.get("label"))
    return loss(network(**inputs_of(batch)).logits, labels)


def logits(network, batch):
    return network(**inputs_of(batch)).logits


SPECS = {
    "inputs": [
        tl.InputSpec((None, 6), "int64", name="input_ids"),
        tl.InputSpec((None, 6), "int64", name="attention_mask"),
    ],
    "labels": [tl.InputSpec((None,), "int64", name="labels")],
}


@situation(7, "HF BERT, InputSpecs, cross entropy on the logits")
def bert_specs() -> Case:
    network = bert()
    given = {"step": logits_step, "size": size, "predict": logits}
    return Case(network, nn.CrossEntropyLoss(), texts(), adamw(network), model=SPECS, **given)


@situation(8, "HF BERT, the key is 'label', cross entropy and Accuracy")
def bert_label() -> Case:
    network = bert()
    given = {"step": logits_step, "size": size, "predict": logits}
    data, accuracy = texts("label"), tl.metrics.Accuracy()
    return Case(network, nn.CrossEntropyLoss(), data, adamw(network), accuracy, **given)


def batch_encoding(items):
    from transformers import BatchEncoding

    return BatchEncoding({key: torch.stack([item[key] for item in items]) for key in items[0]})


@situation(9, "HF BERT, collate_fn gives a BatchEncoding (a UserDict)")
def bert_encoding() -> Case:
    loader = DataLoader(texts(), 4, shuffle=True, collate_fn=batch_encoding)
    network = bert()
    return Case(
        network, the_loss, loader, adamw(network), step=own_loss, size=size, predict=None,
        without=("predict",),
    )  # fmt: skip


@situation(10, "HF GPT2 language model, clip_grad_norm")
def gpt2_clipped() -> Case:
    network = gpt2(use_cache=False)
    tokens = torch.randint(1, 30, (8, 6))

    def loop(case, loader):
        losses = []
        for _ in range(2):
            case.network.train()
            for batch in loader:
                loss = case.network(**batch)["loss"]
                loss.backward()
                nn.utils.clip_grad_norm_(case.network.parameters(), 1.0)
                case.optimizer.step()
                case.optimizer.zero_grad()
                losses.append(loss.item())
        return losses

    return Case(
        network, the_loss, Rows(input_ids=tokens, labels=tokens), adamw(network), step=own_loss,
        size=size, predict=outputs, fit={"clip_grad_norm": 1.0}, loop=loop,
    )  # fmt: skip


@situation(11, "HF GPT2 with use_cache: a cache object in the output")
def gpt2_cache() -> Case:
    network = gpt2(use_cache=True)
    tokens = torch.randint(1, 30, (8, 6))
    return Case(
        network, the_loss, Rows(input_ids=tokens, labels=tokens), adamw(network), step=own_loss,
        size=size, without=("predict",),
    )  # fmt: skip


@situation(149, "HF test set with labels -1: predict leaves them out")
def test_labels() -> None:
    data = texts()
    network = bert()
    model = tl.Model(network)
    model.prepare(adamw(network), the_loss)
    model.fit(data, batch_size=4, verbose=0)
    data.columns["labels"] = torch.full((8,), -1)
    found = model.predict(data, batch_size=4, verbose=0, stack_outputs=True)
    network.eval()
    network.eval()
    with torch.no_grad():
        hand = network(data.columns["input_ids"], data.columns["attention_mask"]).logits
    assert torch.allclose(found["logits"], hand, atol=1e-6)


class Wrapped(nn.Module):
    """As PEFT's and many others: whatever comes is passed on."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, **kwargs: Any) -> Any:
        return self.network(**kwargs)


class Whole(nn.Module):
    """Takes the batch as it is."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: dict[str, torch.Tensor]) -> Any:
        return self.network(**batch)


@situation(150, "a wrapper with forward(**kwargs), the model's own loss")
def wrapper() -> Case:
    network = Wrapped(bert())
    given = {"step": own_loss, "size": size, "predict": outputs}
    return Case(network, the_loss, texts(), adamw(network), **given)


@situation(150, "forward(batch) takes the whole dict")
def whole_batch() -> Case:
    network = Whole(bert())
    return Case(
        network, the_loss, texts(), adamw(network), size=size,
        step=lambda network, loss, batch: network(batch)["loss"],
        predict=lambda network, batch: list(network(batch).values()),
    )  # fmt: skip


@situation(157, "HF attn_implementation='eager'")
def eager() -> Case:
    network = bert(attn_implementation="eager")
    given = {"step": own_loss, "size": size, "predict": outputs}
    return Case(network, the_loss, texts(), adamw(network), **given)


class Around(nn.Module):
    """BERT inside of a user's class."""

    def __init__(self) -> None:
        super().__init__()
        self.bert = bert()

    def forward(self, input_ids, attention_mask):
        return self.bert(input_ids, attention_mask).logits


def checkpointing() -> nn.Module:
    network = bert()
    network.gradient_checkpointing_enable()
    return network


@situation(
    158,
    "HF output_hidden_states, gradient_checkpointing_enable",
    each={"hidden states": partial(bert, output_hidden_states=True), "checkpoints": checkpointing},
)
def bert_variants(make) -> Case:
    network = make()
    given = {"step": own_loss, "size": size, "predict": outputs}
    return Case(network, the_loss, texts(), adamw(network), **given)


@situation(158, "BERT inside a user's class")
def bert_inside() -> Case:
    network = Around()

    def step(network, loss, batch):
        return loss(network(batch["input_ids"], batch["attention_mask"]), batch["labels"])

    return Case(
        network, nn.CrossEntropyLoss(), texts(), adamw(network), step=step, size=size,
        predict=lambda network, batch: network(batch["input_ids"], batch["attention_mask"]),
    )  # fmt: skip


@situation(
    *(159, "a PreTrainedModel of one's own, plain config and config.alpha set later"),
    each={"plain": None, "alpha": 3.0},
)
def pretrained(alpha) -> Case:
    from .pretrained import Own, OwnConfig

    config = OwnConfig(width=8)
    if alpha:
        config.alpha = alpha
    return Case(
        Own(config), nn.CrossEntropyLoss(), TensorDataset(torch.randn(12, 4), torch.arange(12) % 3)
    )


@situation(160, "the same, its config changed after it was made")
def pretrained_changed() -> Case:
    from .pretrained import Own, OwnConfig

    network = Own(OwnConfig(width=8))
    network.config.alpha = 3.0
    return Case(
        network, nn.CrossEntropyLoss(), TensorDataset(torch.randn(12, 4), torch.arange(12) % 3)
    )


# ---- without Hugging Face


class CharTransformer(nn.Module):
    """A language model whose last layer has the embedding's weights."""

    def __init__(self, vocab: int = 12, width: int = 8) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab, width)
        self.layer = nn.TransformerEncoderLayer(width, 2, 16, batch_first=True)
        self.head = nn.Linear(width, vocab, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        return self.head(self.layer(self.embed(tokens), mask, is_causal=True))


def next_tokens() -> TensorDataset:
    tokens = torch.randint(0, 12, (10, 7))
    return TensorDataset(tokens[:, :-1], tokens[:, 1:])


def sequence_loss(y_hat, y):
    return F.cross_entropy(y_hat.reshape(-1, y_hat.shape[-1]), y.reshape(-1))


@situation(15, "char transformer, tied weights, own loss with reshape")
def char_transformer() -> Case:
    network = CharTransformer()
    return Case(network, sequence_loss, next_tokens(), adamw(network))


@situation(
    16,
    "(B, T, V) straight into CrossEntropyLoss",
    refused=r"transpose\(1, 2\)",
    instead="`y_hat.transpose(1, 2)` in forward: the classes come second",
)
def untransposed() -> Case:
    network = CharTransformer()
    without = ("evaluate", "predict")
    return Case(
        network,
        nn.CrossEntropyLoss(),
        next_tokens(),
        adamw(network),
        without=without,
        step=lambda network, loss, batch: loss(network(batch[0]).transpose(1, 2), batch[1]),
    )


def padded() -> TensorDataset:
    """Sequences of many lengths, padded with 0."""
    y = torch.randint(1, 5, (10, 6))
    for i in range(10):
        y[i, 1 + i % 6 :] = 0
    return TensorDataset(torch.randint(0, 5, (10, 6)), y)


def token_loss(y_hat, y):
    return F.cross_entropy(y_hat.flatten(0, 1), y.flatten(), ignore_index=0)


@situation(17, "token loss with padding ignored, in a function")
def padding_ignored() -> Case:
    return Case(nn.Embedding(5, 5), token_loss, padded())


def masked_loss(y_hat, y):
    """The mean over the words, of each sequence."""
    loss = F.cross_entropy(y_hat.transpose(1, 2), y, ignore_index=0, reduction="none")
    return (loss.sum(1) / (y != 0).sum(1)).mean()


@situation(17, "the same, a mean for each sequence")
def padding_by_sequence() -> Case:
    return Case(nn.Embedding(5, 5), masked_loss, padded())
