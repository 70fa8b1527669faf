"""What may be spent, for administrators: by one user, who may be let more or less, and by all."""

from __future__ import annotations

from aws_lambda_powertools.event_handler.api_gateway import Router

from parley.http.admin import UserId
from parley.http.audit import note_use
from parley.http.budget_schemas import Budget, BudgetChange, BudgetLimit, DeploymentBudget
from parley.http.documented import answers
from parley.http.parts import Administrator, UserBudgets

router = Router()

_PATH = "/admin/users/<user_id>/budget"


@router.get(
    "/admin/budget",
    operation_id="readDeploymentBudget",
    tags=["admin"],
    summary="Show what all users together may spend, and have spent",
    responses=answers({200: "The limits that the settings say."}, 403),
)
def read_deployment_budget(user: Administrator, budgets: UserBudgets) -> DeploymentBudget:
    note_use("read the deployment's budget")
    return DeploymentBudget(limits=[BudgetLimit.of(bound) for bound in budgets.read_of_all()])


@router.get(
    _PATH,
    operation_id="readUserBudget",
    tags=["admin"],
    summary="Show what a user may spend, and has spent",
    responses=answers({200: "The budget."}, 403, 422),
)
def read_user_budget(user: Administrator, budgets: UserBudgets, user_id: UserId) -> Budget:
    note_use("read a budget", user_id=user_id)
    return Budget.of(budgets.read(user_id))


@router.put(
    _PATH,
    operation_id="setUserBudget",
    tags=["admin"],
    summary="Let one user spend more, or less, than the settings say",
    description=(
        "It goes at once, for turns that run too: their next call of the model is held against it."
        " The user need not be known yet. Of two administrators the later one's counts."
    ),
    responses=answers({200: "The budget as it is now."}, 400, 403, 413, 415, 422),
)
def set_user_budget(
    user: Administrator, budgets: UserBudgets, user_id: UserId, body: BudgetChange
) -> Budget:
    note_use("set a budget", user_id=user_id, budget=body.model_dump())
    budgets.put(user_id, body.own())
    return Budget.of(budgets.read(user_id))


@router.delete(
    _PATH,
    operation_id="removeUserBudget",
    tags=["admin"],
    summary="Let a user spend what the settings say again",
    responses=answers({200: "The budget as it is now."}, 403, 422),
)
def remove_user_budget(user: Administrator, budgets: UserBudgets, user_id: UserId) -> Budget:
    note_use("remove a budget", user_id=user_id)
    budgets.remove(user_id)
    return Budget.of(budgets.read(user_id))
