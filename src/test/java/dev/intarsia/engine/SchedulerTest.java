package dev.intarsia.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.SamplingParams;
import dev.intarsia.SchedulingPolicy;
import dev.intarsia.TokenLogprobs;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What each step is planned to run, with no model behind it. */
class SchedulerTest {
    private static final SamplingParams PARAMS = SamplingParams.greedy(1);

    private static Scheduler scheduler(int tokens, int sequences, int chunk, int blocks) {
        return scheduler(tokens, sequences, chunk, blocks, SchedulingPolicy.FCFS);
    }

    private static Scheduler scheduler(int tokens, int sequences, int chunk, int blocks, SchedulingPolicy policy) {
        PrefixCache cache = new PrefixCache(blocks);
        return new Scheduler(new Scheduler.Limits(tokens, sequences, chunk, policy), new KvBlocks(blocks, cache), cache);
    }

    private static Sequence add(Scheduler scheduler, int... prompt) {
        Sequence sequence = Runs.request(prompt, PARAMS).sequences[0];
        scheduler.add(sequence);
        return sequence;
    }

    private static int[] tokens(int length, int first) {
        int[] tokens = new int[length];
        for (int i = 0; i < length; i++) {
            tokens[i] = first + i;
        }
        return tokens;
    }

    /** Which sequences a plan has, with how many tokens. */
    private static List<Integer> counts(StepPlan plan, Sequence... sequences) {
        List<Integer> counts = new ArrayList<>();
        for (Sequence sequence : sequences) {
            int at = Arrays.asList(plan.sequences).subList(0, plan.size).indexOf(sequence);
            counts.add(at < 0 ? 0 : plan.counts[at]);
        }
        return counts;
    }

    @Test
    void promptsAreCutAtTheBudgetAndShareStepsWithDecodes() {
        Scheduler scheduler = scheduler(10, 4, 0, 64);
        SimulatedCache cache = new SimulatedCache(scheduler);
        Sequence first = add(scheduler, tokens(4, 100));
        Sequence second = add(scheduler, tokens(25, 200));
        assertThat(counts(cache.step(), first, second)).containsExactly(4, 6);
        assertThat(counts(cache.step(), first, second)).containsExactly(1, 9);
        Sequence third = add(scheduler, tokens(3, 300));
        assertThat(counts(cache.step(), first, second, third)).containsExactly(1, 9, 0);
        assertThat(counts(cache.step(), first, second, third)).containsExactly(1, 1, 3);
        assertThat(counts(cache.step(), first, second, third)).containsExactly(1, 1, 1);
    }

    @Test
    void aLimitOfTheChunkLeavesRoomForOthers() {
        Scheduler scheduler = scheduler(10, 4, 4, 64);
        SimulatedCache cache = new SimulatedCache(scheduler);
        Sequence first = add(scheduler, tokens(9, 100));
        Sequence second = add(scheduler, tokens(5, 200));
        Sequence third = add(scheduler, tokens(5, 300));
        assertThat(counts(cache.step(), first, second, third)).containsExactly(4, 4, 2);
        assertThat(counts(cache.step(), first, second, third)).containsExactly(4, 1, 3);
        assertThat(counts(cache.step(), first, second, third)).containsExactly(1, 1, 1);
    }

    @Test
    void decodesAreInEveryStepHoweverManyPromptsCome() {
        Scheduler scheduler = scheduler(8, 6, 0, 4000);
        SimulatedCache cache = new SimulatedCache(scheduler);
        Sequence first = add(scheduler, 1, 2, 3);
        cache.step();
        for (int i = 0; i < 50; i++) {
            add(scheduler, tokens(100 + i, 1000 * i));
            assertThat(counts(cache.step(), first)).containsExactly(1);
        }
    }

    @Test
    void noMoreSequencesThanAllowedAndTheNextComesWhenOneLeaves() {
        Scheduler scheduler = scheduler(100, 2, 0, 64);
        SimulatedCache cache = new SimulatedCache(scheduler);
        Sequence first = add(scheduler, 1);
        Sequence second = add(scheduler, 2);
        Sequence third = add(scheduler, 3);
        assertThat(counts(cache.step(), first, second, third)).containsExactly(1, 1, 0);
        assertThat(scheduler.waiting()).isEqualTo(1);
        scheduler.end(first);
        assertThat(counts(cache.step(), first, second, third)).containsExactly(0, 1, 1);
        scheduler.end(second);
        scheduler.end(third);
        assertThat(scheduler.isIdle()).isTrue();
        assertThat(scheduler.blocks().free()).isEqualTo(64);
    }

    @Test
    void priorityGoesFirstThenFirstCome() {
        Scheduler scheduler = scheduler(100, 1, 0, 64, SchedulingPolicy.PRIORITY);
        SimulatedCache cache = new SimulatedCache(scheduler);
        List<Sequence> sequences = new ArrayList<>();
        for (int priority : new int[] {5, 0, 5, -3, 0}) {
            Sequence sequence = Runs.request(new int[] {9}, PARAMS, priority).sequences[0];
            sequences.add(sequence);
            scheduler.add(sequence);
        }
        for (int expected : new int[] {3, 1, 4, 0, 2}) {
            StepPlan plan = cache.step();
            assertThat(plan.sequences[0]).isSameAs(sequences.get(expected));
            scheduler.end(sequences.get(expected));
        }
        assertThat(cache.step().size).isZero();
    }

    @Test
    void theLastComeIsPutBackWhenBlocksRunOutAndComesBack() {
        Scheduler scheduler = scheduler(100, 3, 0, 4);
        SimulatedCache cache = new SimulatedCache(scheduler);
        Sequence first = add(scheduler, tokens(16, 100));
        Sequence second = add(scheduler, tokens(16, 200));
        assertThat(counts(cache.step(), first, second)).containsExactly(16, 16);
        for (int i = 0; i < 16; i++) {
            assertThat(cache.step().preempted).isZero();
        }
        Sequence third = add(scheduler, 3);
        StepPlan plan = cache.step(); // the 33rd token of each needs a fifth and a sixth block
        assertThat(plan.preempted).isEqualTo(1);
        assertThat(counts(plan, first, second, third)).containsExactly(1, 0, 0);
        assertThat(second.state).isEqualTo(Sequence.State.WAITING);
        assertThat(scheduler.putBack()).isEqualTo(1);
        assertThat(second.length).as("nothing is forgotten").isEqualTo(33);
        plan = cache.step();
        assertThat(counts(plan, first, second, third)).as("first in order, and there is no room").containsExactly(1, 0, 0);
        scheduler.end(first);
        plan = cache.step();
        assertThat(counts(plan, second, third)).as("its first two blocks, or one, were not used again").satisfies(counts -> {
            assertThat(counts.get(0)).isBetween(1, 33);
            assertThat(counts.get(1)).isEqualTo(1);
        });
        assertThat(second.remaining()).isEqualTo(1);
    }

    @Test
    void theLowestPriorityIsPutBackFirst() {
        Scheduler scheduler = scheduler(100, 2, 0, 4, SchedulingPolicy.PRIORITY);
        SimulatedCache cache = new SimulatedCache(scheduler);
        Sequence low = Runs.request(tokens(16, 100), PARAMS, 1).sequences[0];
        Sequence high = Runs.request(tokens(16, 200), PARAMS, 0).sequences[0];
        scheduler.add(low);
        scheduler.add(high);
        for (int i = 0; i < 18; i++) {
            cache.step();
        }
        assertThat(low.state).isEqualTo(Sequence.State.WAITING);
        assertThat(high.state).isEqualTo(Sequence.State.RUNNING);
    }

    @Test
    void twoPromptsThatFillTheCacheHalfWayDoNotBlockEachOther() {
        Scheduler scheduler = scheduler(16, 2, 0, 8);
        SimulatedCache cache = new SimulatedCache(scheduler);
        Sequence first = add(scheduler, tokens(7 * 16, 1000));
        cache.step();
        Sequence second = add(scheduler, tokens(7 * 16, 2000));
        for (int i = 0; i < 40 && second.sampled() == 0; i++) {
            assertThat(cache.step().size).isPositive();
            if (first.sampled() == 3) {
                scheduler.end(first);
            }
        }
        assertThat(second.sampled()).isPositive();
    }

    @Test
    void aPrefixIsTakenOverButItsLastTokenIsComputed() {
        Scheduler scheduler = scheduler(200, 4, 0, 64);
        SimulatedCache cache = new SimulatedCache(scheduler);
        Sequence first = add(scheduler, tokens(64, 100));
        cache.step();
        Sequence same = add(scheduler, tokens(64, 100));
        Sequence longer = add(scheduler, tokens(70, 100));
        Sequence other = add(scheduler, tokens(64, 99));
        assertThat(counts(cache.step(), first, same, longer, other)).containsExactly(1, 16, 6, 64);
        assertThat(Arrays.copyOf(longer.blocks, 4)).containsExactly(Arrays.copyOf(first.blocks, 4));
        scheduler.end(first);
        scheduler.end(same);
        assertThat(counts(cache.step(), longer, other)).containsExactly(1, 1);
        Sequence again = add(scheduler, tokens(50, 100));
        assertThat(counts(cache.step(), again)).containsExactly(2);
    }

    @Test
    void aSequenceThatWasSampledIsAPrefixToo() {
        Scheduler scheduler = scheduler(200, 4, 0, 64);
        SimulatedCache cache = new SimulatedCache(scheduler);
        Sequence first = add(scheduler, tokens(30, 100));
        for (int i = 0; i < 10; i++) {
            cache.step();
        }
        scheduler.end(first);
        Sequence turn = add(scheduler, Arrays.copyOf(first.tokens, 40));
        assertThat(counts(cache.step(), turn)).containsExactly(8);
    }

    @Test
    void aSaltOfItsOwnFindsNothing() {
        PrefixCache prefixes = new PrefixCache(64);
        Scheduler scheduler = new Scheduler(
                new Scheduler.Limits(200, 4, 0, SchedulingPolicy.FCFS), new KvBlocks(64, prefixes), prefixes);
        SimulatedCache cache = new SimulatedCache(scheduler);
        List<Integer> computed = new ArrayList<>();
        for (String salt : List.of("a", "b", "a", "", "b")) {
            Sequence sequence = new Request(
                            new Request.Asked(tokens(33, 5), PARAMS, 0, Request.NEVER, prefixes.root(salt), false, false), 0, 0)
                    .sequences[0];
            scheduler.add(sequence);
            computed.add(cache.step().counts[0]);
            scheduler.end(sequence);
        }
        assertThat(computed).containsExactly(33, 33, 1, 33, 1);
    }

    @Test
    void theLongestUnusedIsForgottenFirst() {
        Scheduler scheduler = scheduler(200, 1, 0, 6);
        SimulatedCache cache = new SimulatedCache(scheduler);
        for (int first : new int[] {100, 200, 100, 300}) { // two full blocks and a bit each; 300 takes those of 200
            Sequence sequence = add(scheduler, tokens(33, first));
            cache.step();
            scheduler.end(sequence);
        }
        assertThat(scheduler.blocks().freeCached()).isGreaterThanOrEqualTo(4);
        Sequence recent = add(scheduler, tokens(33, 100));
        assertThat(counts(cache.step(), recent)).containsExactly(1);
        scheduler.end(recent);
        Sequence forgotten = add(scheduler, tokens(33, 200));
        assertThat(counts(cache.step(), forgotten)).satisfies(counts -> assertThat(counts.getFirst()).isGreaterThan(16));
    }

    @Test
    void aPromptWhoseTokensAreScoredTakesNoMoreRowsThanThereAre() {
        Scheduler scheduler = scheduler(100, 4, 0, 64);
        SimulatedCache cache = new SimulatedCache(scheduler);
        SamplingParams scoring = PARAMS.toBuilder().promptLogprobs(0).build();
        Sequence scored = Runs.request(tokens(10, 100), scoring).sequences[0];
        scheduler.add(scored);
        Sequence other = add(scheduler, tokens(10, 200));
        for (int done : new int[] {0, 4}) {
            assertThat(counts(cache.step(), scored, other)).containsExactly(4, 0);
            for (int i = 0; i < 4; i++) {
                scored.request.promptLogprobs.add(new TokenLogprobs(101 + done + i, 0, 1, List.of()));
            }
        }
        assertThat(counts(cache.step(), scored, other)).containsExactly(2, 10);
        scored.request.promptLogprobs.add(new TokenLogprobs(109, 0, 1, List.of()));
        assertThat(counts(cache.step(), scored, other)).containsExactly(1, 1);
    }

    @Test
    void limitsThatCannotHoldAreRefused() {
        assertThatThrownBy(() -> new Scheduler.Limits(4, 5, 0, SchedulingPolicy.FCFS)).hasMessageContaining("sequences is 5");
    }

    /** Everything at random: arrivals, ends, priorities, prompts that share beginnings, and too few blocks. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 4, 5, 6, 7, 8})
    void whateverComesLimitsHoldAndEverySequenceEnds(int seed) {
        Random random = new Random(seed);
        int tokens = 1 + random.nextInt(60);
        int sequences = 1 + random.nextInt(Math.min(tokens, 12));
        int chunk = random.nextBoolean() ? 0 : 1 + random.nextInt(20);
        int blocks = 8 + random.nextInt(40); // the longest sequence needs 8
        Scheduler scheduler = scheduler(
                tokens, sequences, chunk, blocks, random.nextBoolean() ? SchedulingPolicy.FCFS : SchedulingPolicy.PRIORITY);
        SimulatedCache cache = new SimulatedCache(scheduler);
        List<Sequence> open = new ArrayList<>();
        int ended = 0;
        int preempted = 0;
        for (int step = 0; step < 3000 || !scheduler.isIdle(); step++) {
            assertThat(step).as("steps").isLessThan(60_000);
            if (step < 3000 && random.nextInt(8) == 0) {
                Sequence sequence = Runs.request(prompt(random), PARAMS, random.nextInt(3)).sequences[0];
                open.add(sequence);
                scheduler.add(sequence);
            }
            if (!open.isEmpty() && random.nextInt(40) == 0) { // cancelled, wherever it is
                scheduler.end(open.remove(random.nextInt(open.size())));
                ended++;
            }
            Set<Sequence> decoding = new HashSet<>();
            open.stream().filter(s -> s.state == Sequence.State.RUNNING && s.remaining() == 1).forEach(decoding::add);
            StepPlan plan = cache.step();
            preempted += plan.preempted;
            assertThat(plan.tokens).isLessThanOrEqualTo(tokens);
            assertThat(plan.size).isLessThanOrEqualTo(sequences);
            assertThat(plan.size > 0).as("something runs if there is anything").isEqualTo(!scheduler.isIdle());
            Set<Sequence> planned = new HashSet<>(Arrays.asList(plan.sequences).subList(0, plan.size));
            assertThat(planned).hasSize(plan.size);
            for (Sequence sequence : decoding) {
                assertThat(planned.contains(sequence) || sequence.state != Sequence.State.RUNNING)
                        .as("no decode is left out")
                        .isTrue();
            }
            for (int i = 0; i < plan.size; i++) {
                assertThat(plan.counts[i]).isBetween(1, chunk == 0 ? tokens : chunk);
                Sequence sequence = plan.sequences[i];
                if (sequence.length >= 100 || sequence.sampled() > 0 && random.nextInt(30) == 0) {
                    scheduler.end(sequence);
                    open.remove(sequence);
                    ended++;
                }
            }
        }
        assertThat(open).isEmpty();
        assertThat(ended).isGreaterThan(100);
        assertThat(scheduler.blocks().free()).as("no block is leaked").isEqualTo(blocks);
        assertThat(scheduler.putBack()).isZero();
        assertThat(seed != 1 || preempted > 0).isTrue();
    }

    private static int[] prompt(Random random) {
        int[] prompt = tokens(1 + random.nextInt(99), 1000 * random.nextInt(3));
        if (random.nextBoolean()) {
            prompt[random.nextInt(prompt.length)] = -1;
        }
        return prompt;
    }
}
