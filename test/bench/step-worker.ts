// Our side of the step comparison: a process that holds one compiled step and takes as many as it is asked for.
import { z } from 'zod';
import { answerQuestions, cpuSecondsSince, peakResidentBytes } from './answer.ts';
import { measureInference } from './inference.ts';
import { openStep } from './opened-step.ts';
import { stepPlan } from './step-plan.ts';

const opened = await openStep(stepPlan.parse(JSON.parse(process.argv[2] ?? '')));

const question = z.discriminatedUnion('do', [
  z.object({ do: z.literal('describe') }),
  z.object({ do: z.literal('steps'), count: z.int() }),
  z.object({ do: z.literal('memory') }),
  z.object({ do: z.literal('inference'), rounds: z.int() }),
]);

await answerQuestions(async (asked) => {
  const wanted = question.parse(asked);
  switch (wanted.do) {
    case 'describe':
      return { trained: opened.trainedNumbers, compileSeconds: opened.compileSeconds };
    case 'memory':
      return { bytes: peakResidentBytes() };
    case 'inference':
      return { ...(await measureInference(opened, wanted.rounds)) };
    case 'steps': {
      const losses: number[] = [];
      const [start, used] = [performance.now(), process.cpuUsage()];
      for (let i = 0; i < wanted.count; i++) losses.push(await opened.step());
      const seconds = (performance.now() - start) / 1000 / wanted.count;
      return { seconds, cpuSeconds: cpuSecondsSince(used) / wanted.count, losses };
    }
  }
});
await opened.dispose();
