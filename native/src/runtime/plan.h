// How the members of a team go through the calls of a recording: what each does of a call, and where they need not wait for each other.
//
// A call by itself deals its work out as its kernel likes, and all meet before the next. Where a recording knows the size, less will do:
//  - calls that touch nothing that another member writes since the last meeting need no meeting before them;
//  - the norm of a single row is done by every member for itself: that takes no longer than one doing it, and the linear that reads it need not wait;
//  - a single row's projection to q, k and v, the work on their heads and the attention are dealt out by heads of the cache, so that a member
//    reads only what it wrote.
// Outputs are computed as ever, only by another member: no bit depends on it.
#pragma once

#include <vector>

#include "compile/executable.h"

namespace intarsia {

struct CallPlan {
    bool meets = true;    // all members are done with all calls before
    bool own_row = false; // of a linear: each member reads x at the row of its number
    bool by_head = false; // of a linear with one row: each member computes an equal share of every part
};

// calls: resolved, each of one exact size, `tokens` those of the step. Marks those that are dealt out by heads or done by every member, and answers
// the plan of each.
std::vector<CallPlan> plan_calls(std::vector<KernelArgs> &calls, uint32_t tokens, uint32_t threads);

// What member `index` of `count` computes of a linear that is planned so, and which share of that.
cpu::LinearArgs member_part(const cpu::LinearArgs &args, const CallPlan &plan, cpu::Share member);

} // namespace intarsia
