import torch
from transformers import XLMRobertaConfig
from transformers.models.xlm_roberta import modeling_xlm_roberta as theirs

from isthmus.model.heads import ClassificationHead, LanguageModelHead, MatchHead

CONFIG = XLMRobertaConfig(hidden_size=8, vocab_size=20, num_labels=3, hidden_dropout_prob=0.1)


def test_the_classification_head_is_xlmrs() -> None:
    ours, other = ClassificationHead(CONFIG, 3), theirs.XLMRobertaClassificationHead(CONFIG)
    other.load_state_dict(ours.state_dict())
    states = torch.randn(4, 5, 8)
    for training in (False, True):
        outputs = []
        for head, features in ((ours, states[:, 0]), (other, states)):
            torch.manual_seed(1)
            outputs.append(head.train(training)(features))
        assert torch.equal(*outputs)


def test_the_language_model_head_is_xlmrs_with_tied_embeddings() -> None:
    ours, other = LanguageModelHead(CONFIG), theirs.XLMRobertaLMHead(CONFIG)
    embedding = torch.randn(20, 8)
    torch.nn.init.normal_(ours.bias)
    weights = {**ours.state_dict(), "decoder.weight": embedding, "decoder.bias": ours.bias}
    other.load_state_dict(weights)
    states = torch.randn(4, 8)
    assert torch.allclose(ours(states, embedding), other(states), atol=1e-6)


def test_the_matching_head_is_berts_pooler_at_length_one() -> None:
    ours, other = MatchHead(CONFIG), theirs.XLMRobertaPooler(CONFIG)
    other.dense.load_state_dict(ours.dense.state_dict())
    states = torch.randn(4, 5, 8)
    pooled = other(states)
    assert torch.allclose(ours(states[:, 0]), pooled / pooled.norm(dim=1, keepdim=True), atol=1e-6)
    assert ours.scale.tolist() == [100.0] and ours(states[:, 0].bfloat16().float()).dtype == torch.float32


def test_weights_are_drawn_as_the_encoders_are() -> None:
    head = ClassificationHead(XLMRobertaConfig(hidden_size=256, initializer_range=0.05), 3)
    assert abs(head.dense.weight.std().item() - 0.05) < 0.002 and not head.dense.bias.any()
