import pytest

from alphadia_tl.settings import TrainingSettings
from alphadia_tl.tasks import get_task
from alphadia_tl.tasks.tuning import fit_settings_of, most_epochs


@pytest.mark.parametrize(
    ("name", "n_rows", "batch_size", "steps", "dropout"),
    [
        ("ms2", 1000, 8, 125, False),
        ("ms2", 40_000, 80, 125, False),
        ("ms2", 100_000, 128, 196, False),
        ("ms2", 100, 8, 39, False),
        ("rt", 1000, 33, 31, True),
        ("ccs", 40_000, 256, 40, True),
        ("charge", 1000, 33, 31, True),
    ],
)
def test_a_model_is_trained_at_its_own_pace(name, n_rows, batch_size, steps, dropout):
    settings = fit_settings_of(get_task(name), TrainingSettings(), n_rows)
    assert (settings.batch_size, settings.steps(n_rows), settings.dropout) == (batch_size, steps, dropout)
    assert settings.max_lr == settings.safe_lr == get_task(name).max_lr


def test_what_the_user_wrote_counts():
    settings = fit_settings_of(get_task("ms2"), TrainingSettings(batch_size=50, max_lr=1e-5, epochs=3), 1000)
    assert (settings.batch_size, settings.max_lr, settings.epochs, settings.passes) == (50, 1e-5, 3, 1)


def test_warm_up_and_patience_of_the_user_reach_the_training():
    wanted = {"warmup_epochs": 3, "lr_patience": 7}
    settings = fit_settings_of(get_task("rt"), TrainingSettings(**wanted), 1000)
    assert {name: getattr(settings, name) for name in wanted} == wanted
    assert settings.stopping_patience == TrainingSettings(**wanted).stopping_patience == 28
    assert all(getattr(TrainingSettings(), name) != value for name, value in wanted.items())


@pytest.mark.parametrize(("slower", "times"), [(0.5, 1), (1, 1), (2, 2), (30, 3)])
def test_a_lower_rate_gets_more_epochs(slower, times):
    task = get_task("ms2")
    assert most_epochs(task, TrainingSettings(max_lr=task.max_lr / slower)) == times * task.epochs
